/** Builds OVS_ACTION_ATTR lists for tests, attribute by attribute. */
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR,
  OVS_PSAMPLE_ATTR,
  OVS_SAMPLE_ATTR,
  OVS_USERSPACE_ATTR,
} from '../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR, OVS_NSH_KEY_ATTR } from '../../src/odp/key/key-table.ts';

const be = (v: number, size: number) => Array.from({ length: size }, (_, i) => (v / 2 ** (8 * (size - 1 - i))) & 0xff);
/** Host order, little-endian here. */
export const u32 = (v: number): number[] => [v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, v >>> 24];
export const u16 = (v: number): number[] => [v & 0xff, v >>> 8];
export const be16 = (v: number): number[] => be(v, 2);
export const be32 = (v: number): number[] => be(v >>> 0, 4);

/** One attribute, padded. */
export function attr(type: number, payload: readonly number[] = []): number[] {
  const all = [...u16(4 + payload.length), ...u16(type), ...payload];
  while (all.length % 4 !== 0) all.push(0);
  return all;
}

export const output = (port: number) => attr(A.OUTPUT, u32(port));
export const trunc = (bytes: number) => attr(A.TRUNC, u32(bytes));
export const recirc = (id: number) => attr(A.RECIRC, u32(id));
export const hash = (basis: number, alg = 0) => attr(A.HASH, [...u32(alg), ...u32(basis)]);
export const pushVlan = (tpid: number, tci: number) => attr(A.PUSH_VLAN, [...be16(tpid), ...be16(tci)]);
export const popVlan = () => attr(A.POP_VLAN);
export const pushEth = (src: readonly number[], dst: readonly number[]) => attr(A.PUSH_ETH, [...src, ...dst]);
export const popEth = () => attr(A.POP_ETH);
export const pushMpls = (lse: number, type = 0x8847) => attr(A.PUSH_MPLS, [...be32(lse), ...be16(type), 0, 0]);
export const addMpls = (lse: number, type: number, flags: number) =>
  attr(A.ADD_MPLS, [...be32(lse), ...be16(type), ...u16(flags)]);
export const popMpls = (type: number) => attr(A.POP_MPLS, be16(type));
export const clone = (...list: number[][]) => attr(A.CLONE, list.flat());
/** `base`: flags, TTL, metadata type, next protocol and 4 bytes of path. */
export const pushNsh = (base: readonly number[], ...metadata: number[][]) =>
  attr(A.PUSH_NSH, attr(OVS_KEY_ATTR.NSH, [...attr(OVS_NSH_KEY_ATTR.BASE, base), ...metadata.flat()]));
export const md1 = (fill: number) => attr(OVS_NSH_KEY_ATTR.MD1, Array<number>(16).fill(fill));
export const md2 = (...metadata: number[]) => attr(OVS_NSH_KEY_ATTR.MD2, metadata);
export const popNsh = () => attr(A.POP_NSH);
export const meter = (id: number) => attr(A.METER, u32(id));
/** With NLA_F_NESTED. */
export const psample = (group: number, cookie?: readonly number[]) =>
  attr(A.PSAMPLE | 0x8000, [
    ...attr(OVS_PSAMPLE_ATTR.GROUP, u32(group)),
    ...(cookie === undefined ? [] : attr(OVS_PSAMPLE_ATTR.COOKIE, cookie)),
  ]);
export const drop = (reason: number) => attr(A.DROP, u32(reason));
export const decTtl = (...list: number[][]) => attr(A.DEC_TTL, attr(1, list.flat()));
export const sample = (probability: number, ...list: number[][]) =>
  attr(A.SAMPLE, [
    ...attr(OVS_SAMPLE_ATTR.PROBABILITY, u32(probability)),
    ...attr(OVS_SAMPLE_ATTR.ACTIONS, list.flat()),
  ]);
export const checkPktLen = (bytes: number, greater: number[], lessEqual: number[]) =>
  attr(A.CHECK_PKT_LEN, [
    ...attr(OVS_CHECK_PKT_LEN_ATTR.PKT_LEN, u16(bytes)),
    ...attr(OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER, greater),
    ...attr(OVS_CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL, lessEqual),
  ]);
export const userspace = (pid: number, userdata?: readonly number[], wantsActions = false) =>
  attr(A.USERSPACE, [
    ...attr(OVS_USERSPACE_ATTR.PID, u32(pid)),
    ...(userdata === undefined ? [] : attr(OVS_USERSPACE_ATTR.USERDATA, userdata)),
    ...(wantsActions ? attr(OVS_USERSPACE_ATTR.ACTIONS) : []),
  ]);
export const set = (keyType: number, value: readonly number[]) => attr(A.SET, attr(keyType, value));
export const setMasked = (keyType: number, value: readonly number[], mask: readonly number[]) =>
  attr(A.SET_MASKED, attr(keyType, [...value, ...mask]));
