/**
 * Why a flow's packets go to userspace although a flow is installed: bits of a slow-path cookie, and their names in
 * `slow_path(...)` of a dump.
 * Source: lib/odp-util.h (SLOW_PATH_REASONS).
 */
import type { BitNames } from './text/odp-text-kinds.ts';

export const SLOW_PATH = { CFM: 1, BFD: 2, LACP: 4, STP: 8, LLDP: 16, ACTION: 32, MATCH: 64 } as const;
export const SLOW_PATH_ALL = 0x7f;

interface Reason {
  readonly bit: number;
  readonly name: string;
  /** What `ofproto/trace` says of it. */
  readonly explanation: string;
}

// biome-ignore format: table
export const SLOW_PATH_REASONS: readonly Reason[] = [
  { bit: SLOW_PATH.CFM,    name: 'cfm',    explanation: 'Consists of CFM packets' },
  { bit: SLOW_PATH.BFD,    name: 'bfd',    explanation: 'Consists of BFD packets' },
  { bit: SLOW_PATH.LACP,   name: 'lacp',   explanation: 'Consists of LACP packets' },
  { bit: SLOW_PATH.STP,    name: 'stp',    explanation: 'Consists of STP packets' },
  { bit: SLOW_PATH.LLDP,   name: 'lldp',   explanation: 'Consists of LLDP packets' },
  { bit: SLOW_PATH.ACTION, name: 'action', explanation: 'Uses action(s) not supported by datapath' },
  { bit: SLOW_PATH.MATCH,  name: 'match',  explanation: "Datapath can't match specifically enough" },
];

export const SLOW_PATH_NAMES: BitNames = SLOW_PATH_REASONS.map(({ bit, name }) => [bit, name] as const);
