/**
 * Which messages a connection gets that it did not ask for: a bit for each reason, by type of message and role.
 * Source: lib/ofp-connection.c (ofputil_async_cfg_default), OpenFlow 1.4.1 7.3.10, Documentation/topics/design.rst.
 */
import { ASYNC_TYPES, type AsyncConfig, type AsyncMasks } from '../../../openflow/messages/flow/flow-types.ts';

/** OFPR_*: reasons of packet_ins; the last two are Open vSwitch's own. */
// biome-ignore format: table
export const OFPR = {
  NO_MATCH: 0, ACTION: 1, INVALID_TTL: 2, ACTION_SET: 3, GROUP: 4, PACKET_OUT: 5, EXPLICIT_MISS: 6, IMPLICIT_MISS: 7,
} as const;

/** Every type has a mask. */
export type AsyncMask = Required<AsyncMasks>;
export interface AsyncSettings extends AsyncConfig {
  readonly primary: AsyncMask;
  readonly secondary: AsyncMask;
}

const bits = (...reasons: readonly number[]): number => reasons.reduce((set, r) => set | (1 << r), 0);

/** What 1.4 tells apart and the versions before it call an action. */
const OF14_ACTIONS = bits(OFPR.ACTION_SET, OFPR.GROUP, OFPR.PACKET_OUT);
const PORT_STATUS = bits(0, 1, 2);
const NOTHING: AsyncMask = {
  packetIn: 0,
  portStatus: 0,
  flowRemoved: 0,
  roleStatus: 0,
  tableStatus: 0,
  requestForward: 0,
};

/** Of connections that are to get nothing unless they ask for it. */
export const NO_ASYNC: AsyncSettings = { primary: NOTHING, secondary: NOTHING };

/** What a connection of `version` gets before it says otherwise. */
export function defaultAsync(version: number): AsyncSettings {
  const packetIn = bits(OFPR.NO_MATCH, OFPR.ACTION, OFPR.EXPLICIT_MISS) | OF14_ACTIONS;
  const flowRemoved = bits(0, 1, 2) | (version >= 4 ? bits(3) : 0) | (version >= 5 ? bits(4, 5) : 0);
  return {
    primary: {
      ...NOTHING,
      packetIn: version <= 3 ? packetIn | bits(OFPR.IMPLICIT_MISS) : packetIn,
      portStatus: PORT_STATUS,
      flowRemoved,
    },
    secondary: { ...NOTHING, portStatus: PORT_STATUS },
  };
}

function merge(old: AsyncMask, said: AsyncMasks, version: number): AsyncMask {
  const masks = { ...old };
  for (const type of ASYNC_TYPES) {
    const mask = said[type];
    if (mask !== undefined) masks[type] = mask;
  }
  if (version < 5 && (masks.packetIn & bits(OFPR.ACTION)) !== 0) masks.packetIn |= OF14_ACTIONS;
  return masks;
}

/** `old` with what a connection of `version` says of it. */
export const mergeAsync = (old: AsyncSettings, said: AsyncConfig, version: number): AsyncSettings => ({
  primary: merge(old.primary, said.primary, version),
  secondary: merge(old.secondary, said.secondary, version),
});
