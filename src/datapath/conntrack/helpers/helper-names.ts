/** The helpers that there are, by name and number.  Source: net/netfilter/nf_conntrack_{ftp,tftp}.c. */
import { PROTO } from '../ct-constants.ts';

/** Number 0 is none.  `proto`: the protocol that the helper reads. */
// biome-ignore format: table
const HELPERS = [
  { name: '',     proto: 0 },
  { name: 'ftp',  proto: PROTO.TCP },
  { name: 'tftp', proto: PROTO.UDP },
] as const;
export const HELPER = { NONE: 0, FTP: 1, TFTP: 2 } as const;

/** The number of the helper `name` for `proto`; 0 if there is none. */
export function helperNumber(name: string, proto: number): number {
  const i = HELPERS.findIndex((h) => h.name === name && h.proto === proto);
  return Math.max(i, 0);
}
export const helperName = (number: number): string => HELPERS[number]?.name ?? '';
