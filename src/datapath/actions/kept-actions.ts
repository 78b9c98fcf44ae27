/**
 * An action list as the kernel keeps and shows it, which is not always as it was sent: actions with parts are stored as
 * their meaning and written out in one order, types lose their flags, padding is zero.  compile-actions.ts says which
 * lists need it; for the usual ones, which stock clients send in that form, nothing is copied.
 *
 *     SAMPLE         [PROBABILITY] [ACTIONS]
 *     CHECK_PKT_LEN  [PKT_LEN] [ACTIONS_IF_LESS_EQUAL] [ACTIONS_IF_GREATER]     clients send the lists the other way round
 *     DEC_TTL        [ACTION]
 *     SET            tunnel(...): in the order of a key's, without what is zero
 *     CT             see conntrack/ct-args.ts
 *
 * Source: net/openvswitch/flow_netlink.c (ovs_nla_put_actions), conntrack.c (ovs_ct_action_to_attr).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR,
  OVS_DEC_TTL_ATTR,
  OVS_SAMPLE_ATTR,
} from '../../odp/action-attrs.ts';
import { OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { type CtArgs, writeCt } from '../conntrack/ct-args.ts';
import { putSetTunnel } from '../tunnel/set-tunnel.ts';

/** The parts of actions that have some, in the kernel's order; `size` of a value, undefined for a list of actions. */
const PARTS: Readonly<Record<number, readonly { readonly type: number; readonly size?: number }[]>> = {
  [A.SAMPLE]: [{ type: OVS_SAMPLE_ATTR.PROBABILITY, size: 4 }, { type: OVS_SAMPLE_ATTR.ACTIONS }],
  [A.CHECK_PKT_LEN]: [
    { type: OVS_CHECK_PKT_LEN_ATTR.PKT_LEN, size: 2 },
    { type: OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL },
    { type: OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER },
  ],
  [A.DEC_TTL]: [{ type: OVS_DEC_TTL_ATTR.ACTION }],
};

/** Whether the payload `[at, end)` of an action of `kind` has just its parts, in order, as the kernel would show them. */
export function hasKeptParts(dv: DataView, kind: number, at: number, end: number): boolean {
  const parts = PARTS[kind] ?? [];
  let i = 0;
  for (; end - at >= NLA_HDRLEN; i++) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    const part = parts[i];
    if (part === undefined || dv.getUint16(at + 2, LITTLE_ENDIAN) !== part.type) return false;
    if (part.size !== undefined && part.size !== len - NLA_HDRLEN) return false;
    at += nlaAlign(len);
  }
  return i === parts.length;
}

/** What the kernel shows of the list `[at, at + size)`, which was compiled; `cts` are its CT actions. */
export function keptActions(dv: DataView, at: number, size: number, cts: readonly CtArgs[]): Uint8Array<ArrayBuffer> {
  const w = new MessageWriter(size + 64 * cts.length);
  // The lists of check_pkt_len are compiled in another order than they stand, so actions are matched by where they are.
  copyList(w, dv, at, at + size, new Map(cts.map((ct) => [ct.at, ct])));
  return w.bytes.slice(0, w.size) as Uint8Array<ArrayBuffer>;
}

function copyList(w: MessageWriter, dv: DataView, at: number, end: number, cts: ReadonlyMap<number, CtArgs>): void {
  for (; end - at >= NLA_HDRLEN; at += nlaAlign(dv.getUint16(at, LITTLE_ENDIAN))) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    const kind = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const payload = at + NLA_HDRLEN;
    const ct = kind === A.CT ? cts.get(payload) : undefined;
    const parts = PARTS[kind];
    if (ct === undefined && parts === undefined && kind !== A.CLONE && kind !== A.SET) {
      copy(w, dv, at, len);
      continue;
    }
    const nest = w.nest(kind);
    if (ct !== undefined) writeCt(w, ct);
    else if (kind === A.SET && keyType(dv, payload) === OVS_KEY_ATTR.TUNNEL) copySetTunnel(w, dv, payload);
    else if (kind === A.CLONE) copyList(w, dv, payload, at + len, cts);
    else if (parts === undefined) copy(w, dv, payload, dv.getUint16(payload, LITTLE_ENDIAN));
    else for (const { type, size } of parts) copyPart(w, dv, payload, at + len, type, size, cts);
    w.endNest(nest);
  }
}

const keyType = (dv: DataView, at: number): number => dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;

function copySetTunnel(w: MessageWriter, dv: DataView, at: number): void {
  const size = dv.getUint16(at, LITTLE_ENDIAN);
  if (!putSetTunnel(w, dv, at + NLA_HDRLEN, size - NLA_HDRLEN)) copy(w, dv, at, size);
}

/** Copies the last attribute of `type` in `[at, end)`: `size` bytes of it, or the list that it is. */
function copyPart(
  w: MessageWriter,
  dv: DataView,
  at: number,
  end: number,
  type: number,
  size: number | undefined,
  cts: ReadonlyMap<number, CtArgs>,
): void {
  let found = -1;
  for (; end - at >= NLA_HDRLEN; at += nlaAlign(dv.getUint16(at, LITTLE_ENDIAN))) {
    if ((dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK) === type) found = at;
  }
  if (found < 0) return;
  if (size !== undefined) {
    copy(w, dv, found, NLA_HDRLEN + size);
    return;
  }
  const nest = w.nest(type);
  copyList(w, dv, found + NLA_HDRLEN, found + dv.getUint16(found, LITTLE_ENDIAN), cts);
  w.endNest(nest);
}

/** Copies `len` bytes of the attribute at `at`, with its header but without flags. */
function copy(w: MessageWriter, dv: DataView, at: number, len: number): void {
  const bytes = new Uint8Array(dv.buffer, dv.byteOffset + at, len);
  w.attrBytes(dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK, bytes, NLA_HDRLEN, len - NLA_HDRLEN);
}
