import type { FlowKey } from '../flow/flow-key.ts';
import type { ActionProgram } from './action-program.ts';

/** Linux version for `kernelCompat`. */
export const linuxVersion = (major: number, minor: number): number => (major << 8) | minor;
/** What the golden recordings are of. */
export const DEFAULT_KERNEL = linuxVersion(6, 1);
/** Signature; the body follows. */
export declare function compileActions(
  dv: DataView,
  at: number,
  size: number,
  key: FlowKey,
  kernelCompat?: number,
): ActionProgram;
