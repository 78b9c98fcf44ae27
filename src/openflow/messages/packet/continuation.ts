/**
 * Continuations: what a switch has to know to go on with a packet that it paused, as properties inside of NXT_PACKET_IN2 and NXT_RESUME.
 * To controllers they are bytes; only the switch that wrote one reads it.
 *
 * The actions that are left are groups, each of another rule: an `unroll_xlate` begins a group and tells table and cookie, which stand on the
 * wire before the group's actions if they are not what they were (at first 0).
 * Source: lib/ofp-packet.c (ofputil_put_packet_in_private, ofputil_decode_packet_in_private).
 */
import { decodeActions, encodeActions } from '../../actions/index.ts';
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { OfpWriter } from '../../ofp-writer.ts';
import type { Ofpact, OfpactUnrollXlate } from '../../ofpact.ts';
import type { PacketInPrivate } from '../flow/flow-types.ts';
import {
  eachProperty,
  endProperty,
  type Property,
  propertyU32,
  putPropertyU32,
  unknownProperty,
} from '../wire/properties.ts';
import {
  beginNested,
  nestedAt,
  propertyBytes,
  propertyU8,
  propertyU64,
  putFlag,
  putPropertyBytes,
  putPropertyU8,
  putPropertyU64,
} from '../wire/property-values.ts';

/** NXCPT_*. */
// biome-ignore format: table
const PROP = {
  BRIDGE: 0x8000, STACK: 0x8001, MIRRORS: 0x8002, CONNTRACKED: 0x8003, TABLE_ID: 0x8004, COOKIE: 0x8005, ACTIONS: 0x8006,
  ACTION_SET: 0x8007, ODP_PORT: 0x8008,
} as const;

const UUID_SIZE = 16;
/** Bytes of the longest field. */
const STACK_ENTRY_MAX = 128;

function putActions(out: OfpWriter, type: number, actions: readonly Ofpact[], version: OfVersion): void {
  if (actions.length === 0) return;
  const at = beginNested(out, type);
  out.put(encodeActions(actions, version));
  endProperty(out, at);
}

/** Divides actions at each unroll_xlate. */
function putGroups(out: OfpWriter, actions: readonly Ofpact[], version: OfVersion): void {
  let table = 0;
  let cookie = 0n;
  const isUnroll = (a: Ofpact): a is OfpactUnrollXlate => a.kind === 'unroll_xlate';
  for (let i = 0; i < actions.length; ) {
    const first = actions[i] as Ofpact;
    if (isUnroll(first)) {
      i++;
      if (first.ruleTable !== table) putPropertyU8(out, PROP.TABLE_ID, first.ruleTable);
      if (first.ruleCookie !== cookie) putPropertyU64(out, PROP.COOKIE, first.ruleCookie);
      table = first.ruleTable;
      cookie = first.ruleCookie;
    }
    const next = actions.findIndex((a, at) => at >= i && isUnroll(a));
    const end = next < 0 ? actions.length : next;
    putActions(out, PROP.ACTIONS, actions.slice(i, end), version);
    i = end;
  }
}

/** A UUID stands there as four words in the byte order of the hosts that we know (little endian). */
function swapWords(uuid: Uint8Array): Uint8Array {
  // Not `slice`: that of a Buffer is no copy.
  const swapped = new Uint8Array(uuid);
  const dv = new DataView(swapped.buffer);
  for (let at = 0; at + 4 <= swapped.length; at += 4) dv.setUint32(at, dv.getUint32(at, true));
  return swapped;
}

/** The bytes of a continuation (NXPINT_CONTINUATION's payload) for a connection of `version`. */
export function encodeContinuation(state: PacketInPrivate, version: OfVersion): Uint8Array {
  const out = new OfpWriter(256);
  if (state.bridge.some((b) => b !== 0)) putPropertyBytes(out, PROP.BRIDGE, swapWords(state.bridge));
  for (const entry of state.stack.toReversed()) putPropertyBytes(out, PROP.STACK, entry);
  if (state.mirrors !== 0) putPropertyU32(out, PROP.MIRRORS, state.mirrors);
  if (state.isConntracked) putFlag(out, PROP.CONNTRACKED);
  putGroups(out, state.actions, version);
  putActions(out, PROP.ACTION_SET, state.actionSet, version);
  if (state.odpPort !== 0) putPropertyU32(out, PROP.ODP_PORT, state.odpPort);
  return out.bytes.slice(0, out.size);
}

/** Throws OfpError. */
export function decodeContinuation(bytes: Uint8Array, version: OfVersion): PacketInPrivate {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const actionsOf = (p: Property): Ofpact[] => decodeActions(version, bytes.subarray(nestedAt(p), p.at + p.size));
  const bad = (p: Property, what: string): OfpError =>
    new OfpError(
      OFPERR.OFPBPC_BAD_LEN,
      `continuation, byte ${p.at}: ${what} of ${propertyBytes(bytes, p).length} bytes`,
    );
  let bridge: Uint8Array = new Uint8Array(UUID_SIZE);
  const stack: Uint8Array[] = [];
  let mirrors = 0;
  let isConntracked = false;
  let ruleTable = 0;
  let ruleCookie = 0n;
  const actions: Ofpact[] = [];
  let actionSet: Ofpact[] = [];
  let odpPort = 0;
  eachProperty(dv, 0, bytes.length, (p) => {
    if (p.vendor !== 0) return unknownProperty(p, false);
    switch (p.type) {
      case PROP.BRIDGE:
        bridge = swapWords(propertyBytes(bytes, p));
        if (bridge.length !== UUID_SIZE) throw bad(p, 'UUID');
        break;
      case PROP.STACK: {
        const entry = propertyBytes(bytes, p).slice();
        if (entry.length > STACK_ENTRY_MAX) throw bad(p, 'stack entry');
        stack.unshift(entry);
        break;
      }
      case PROP.MIRRORS:
        mirrors = propertyU32(dv, p);
        break;
      case PROP.CONNTRACKED:
        isConntracked = true;
        break;
      case PROP.TABLE_ID:
        ruleTable = propertyU8(dv, p);
        break;
      case PROP.COOKIE:
        ruleCookie = propertyU64(dv, p);
        break;
      case PROP.ACTIONS:
        actions.push({ kind: 'unroll_xlate', ruleTable, ruleCookie }, ...actionsOf(p));
        break;
      case PROP.ACTION_SET:
        actionSet = actionSet.concat(actionsOf(p));
        break;
      case PROP.ODP_PORT:
        odpPort = propertyU32(dv, p);
        break;
      default:
        unknownProperty(p, false);
    }
  });
  return { bridge, stack, mirrors, isConntracked, actions, actionSet, odpPort };
}
