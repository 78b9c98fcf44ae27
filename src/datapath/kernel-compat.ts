/**
 * Whose answers the datapath gives.  Unless something else is asked for, they are those of Linux 6.1, which stock tools are
 * tested with; actions that came later are refused as that kernel refuses them.
 */

/** A Linux version as one number, to compare. */
export const linuxVersion = (major: number, minor: number): number => (major << 8) | minor;

export const DEFAULT_KERNEL = linuxVersion(6, 1);
/** The oldest that can be asked for, and the first that sends upcalls by CPU; between this and 6.1 nothing else is told apart. */
export const OLDEST_KERNEL = linuxVersion(5, 10);
export const KERNEL_WITH_PER_CPU_UPCALLS = linuxVersion(5, 15);
/**
 * No kernel: Open vSwitch's datapath in userspace, which takes what kernels refuse, like labels behind a tag, and has none of the actions that
 * came after 6.1.  Less than every version.
 */
export const USERSPACE_DATAPATH = 0;
/** The first that have the actions DROP and PSAMPLE. */
export const KERNEL_WITH_DROP = linuxVersion(6, 7);
export const KERNEL_WITH_PSAMPLE = linuxVersion(6, 11);

/** Reads "6.12" or "6.12.3".  Throws RangeError for other text, and for kernels that are too old. */
export function parseKernel(text: string): number {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})(?:\.\d+)?$/.exec(text) ?? [];
  if (major === undefined || minor === undefined) throw new RangeError(`kernel version "${text}": want one like 6.12`);
  const version = linuxVersion(Number(major), Number(minor));
  if (Number(minor) > 255 || version < OLDEST_KERNEL)
    throw new RangeError(`kernel version ${text}: want 5.10 or later`);
  return version;
}
