/**
 * The "ovs_packet" family: userspace hands a packet over, to have actions executed on it.  What goes the other way, the
 * upcalls, is upcall-writer.ts.
 *
 * Of the key that comes with the packet only the metadata counts; the rest is read from the packet itself.
 * Source: net/openvswitch/datapath.c (ovs_packet_cmd_execute).
 */
import { FIELD } from '../../flow/fields.ts';
import { getField, newFlowKey } from '../../flow/flow-key.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  OVS_PACKET_ATTR,
  OVS_PACKET_CMD,
  OVS_PACKET_FAMILY,
  OVS_PACKET_VERSION,
} from '../../netlink/families/ovs-packet.ts';
import { OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { IPPROTO, ND } from '../../packet/ip.ts';
import { ERRNO } from '../../util/errno.ts';
import { type ActionProgram, EMPTY_PROGRAM } from '../actions/action-program.ts';
import { compileActions } from '../actions/compile-actions.ts';
import type { Datapath, ExecuteOptions } from '../datapath.ts';
import type { Datapaths } from '../datapaths.ts';
import { attrBit, invalid } from '../match/key-attrs.ts';
import { getMetadata } from '../match/match.ts';
import { type AttrTable, atLeast, attrRules, FLAG, NESTED, U16, U32, U64 } from './attr-policy.ts';
import type { GenlFamily, Request } from './genl-family.ts';

const ATTR = OVS_PACKET_ATTR.type;
/** OVS_PACKET_ATTR_MAX of Linux 6.1 is HASH; UPCALL_PID came with 6.17 and is honoured. */
const MAXATTR = ATTR.hash;
const PARSED_ATTRS = ATTR.upcallPid;

export interface PacketCommandsOptions {
  readonly id: number;
  readonly datapaths: Datapaths;
}

/** Makes the family. */
export function packetFamily({ id, datapaths }: PacketCommandsOptions): GenlFamily {
  return {
    id,
    name: OVS_PACKET_FAMILY,
    version: OVS_PACKET_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    parsedAttrs: PARSED_ATTRS,
    rules: attrRules(PARSED_ATTRS, {
      [ATTR.packet]: atLeast(ETH_HLEN),
      [ATTR.key]: NESTED,
      [ATTR.actions]: NESTED,
      [ATTR.probe]: FLAG,
      [ATTR.mru]: U16,
      [ATTR.hash]: U64,
      [ATTR.upcallPid]: U32,
    }),
    ops: [{ cmd: OVS_PACKET_CMD.EXECUTE, needsAdmin: true, doit: (req) => execute(req, datapaths) }],
    group: 0,
  };
}

// Reused by every command: execution ends before the next one begins.
const key = newFlowKey();

function execute(req: Request, datapaths: Datapaths): void {
  const { attrs } = req;
  if (!attrs.has(ATTR.packet) || !attrs.has(ATTR.key) || !attrs.has(ATTR.actions)) {
    throw new NetlinkError(ERRNO.EINVAL, 'execute: packet, key and actions are all needed');
  }
  const { dv } = attrs;
  const given = getMetadata({ dv, at: attrs.offset(ATTR.key), size: attrs.size(ATTR.key) }, key);
  const dp = datapaths.find(req.dpIfindex);
  if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);
  extract(dp, attrs);
  const error = dp.execute(key, readProgram(dp, attrs, given, datapaths.kernelCompat), readOptions(attrs));
  if (error < 0) throw new NetlinkError(-error, 'execute');
}

/** Checks the actions against the packet; if they are not to be executed, drops it, so that its memory comes back. */
function readProgram(dp: Datapath, attrs: AttrTable, given: number, kernelCompat: number): ActionProgram {
  try {
    checkTuples(given);
    return compileActions(attrs.dv, attrs.offset(ATTR.actions), attrs.size(ATTR.actions), key, kernelCompat);
  } catch (error) {
    dp.execute(key, EMPTY_PROGRAM, { isBatched: true });
    throw error;
  }
}

/** Completes `key` from the packet. */
function extract(dp: Datapath, attrs: AttrTable): void {
  const { dv } = attrs;
  const packet = new Uint8Array(dv.buffer, dv.byteOffset + attrs.offset(ATTR.packet), attrs.size(ATTR.packet));
  const error = dp.extractForExecute(packet, key);
  if (error < 0) throw new NetlinkError(-error, 'execute: packet');
}

/** A conntrack tuple must be of the packet's protocol, and in the kernel's key neighbour discovery is in its place. */
function checkTuples(given: number): void {
  const type = getField(key, FIELD.ethType);
  const isNd =
    type === ETH_TYPE.IPV6 &&
    getField(key, FIELD.nwProto) === IPPROTO.ICMPV6 &&
    (getField(key, FIELD.tpSrc) === ND.SOLICIT || getField(key, FIELD.tpSrc) === ND.ADVERT);
  if ((given & attrBit(OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV4)) !== 0 && type !== ETH_TYPE.IP) {
    throw invalid('execute: IPv4 conntrack tuple for another protocol');
  }
  if ((given & attrBit(OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV6)) !== 0 && (type !== ETH_TYPE.IPV6 || isNd)) {
    throw invalid('execute: IPv6 conntrack tuple for another protocol');
  }
}

// Reused as well.
const options = { isBatched: true, mru: 0, hash: 0, upcallPid: 0 };

function readOptions(attrs: AttrTable): ExecuteOptions {
  options.mru = attrs.has(ATTR.mru) ? attrs.u16(ATTR.mru) : 0;
  // Its upper half says how the hash was made.
  options.hash = attrs.has(ATTR.hash) ? attrs.u64Low(ATTR.hash) : 0;
  options.upcallPid = attrs.has(ATTR.upcallPid) ? attrs.u32(ATTR.upcallPid) : 0;
  return options;
}
