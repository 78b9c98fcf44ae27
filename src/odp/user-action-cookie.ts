/**
 * The userdata that ovs-vswitchd puts into userspace actions, to know an upcall again: struct user_action_cookie.
 *
 *      0               1               2               3
 *     |             type              |           (padding)           |
 *     |                          ofp_in_port                          |
 *     |                       ofproto_uuid (16)                       |
 *     |                    by type, 24 bytes (below)                  |
 *
 * 48 bytes in host order except where said.  It never leaves the machine; the stock tools decode it to print flows, so the
 * layout is that of 3.1.
 * Source: lib/odp-util.h.
 */
import { beUint, bytesToUint, hostUint, hostUintToBytes, uintToBytes } from './text/odp-attr-list.ts';

export const USER_ACTION_COOKIE_SIZE = 48;

export const USER_ACTION_COOKIE = {
  UNSPEC: 0,
  SFLOW: 1,
  SLOW_PATH: 2,
  FLOW_SAMPLE: 3,
  IPFIX: 4,
  CONTROLLER: 5,
} as const;

/** No OpenFlow port (OFPP_NONE). */
export const OFPP_NONE = 0xffff;

/** enum nx_action_sample_direction. */
export const SAMPLE_DIRECTION = { DEFAULT: 0, INGRESS: 1, EGRESS: 2 } as const;

interface Origin {
  /** OpenFlow port number that the packet came in by, or OFPP_NONE. */
  readonly ofpInPort: number;
  /** 16 bytes that name the ofproto. */
  readonly ofprotoUuid: Uint8Array;
}
export interface SflowCookie {
  readonly type: 'sflow';
  readonly vlanTci: number;
  readonly output: number;
}
export interface SlowPathCookie {
  readonly type: 'slowPath';
  /** SLOW_PATH bits. */
  readonly reason: number;
}
export interface FlowSampleCookie {
  readonly type: 'flowSample';
  readonly probability: number;
  readonly collectorSetId: number;
  readonly obsDomainId: number;
  readonly obsPointId: number;
  readonly outputOdpPort: number;
  readonly direction: number;
}
export interface IpfixCookie {
  readonly type: 'ipfix';
  readonly outputOdpPort: number;
}
export interface ControllerCookie {
  readonly type: 'controller';
  readonly dontSend: boolean;
  readonly continuation: boolean;
  readonly reason: number;
  readonly recircId: number;
  readonly ruleCookie: bigint;
  readonly controllerId: number;
  readonly maxLen: number;
}
export type CookieBody = SflowCookie | SlowPathCookie | FlowSampleCookie | IpfixCookie | ControllerCookie;
export type UserActionCookie = CookieBody & Origin;

const BODY = 24;
type Field = readonly [name: string, at: number, size: number, order?: 'be'];

/** Members of each variant, at offsets from the start of the cookie. */
// biome-ignore format: table
const LAYOUT: Readonly<Record<CookieBody['type'], { number: number; fields: readonly Field[] }>> = {
  sflow:      { number: USER_ACTION_COOKIE.SFLOW,       fields: [['vlanTci', BODY, 2, 'be'], ['output', BODY + 4, 4]] },
  slowPath:   { number: USER_ACTION_COOKIE.SLOW_PATH,   fields: [['reason', BODY + 4, 4]] },
  flowSample: { number: USER_ACTION_COOKIE.FLOW_SAMPLE, fields: [
    ['probability', BODY, 2], ['collectorSetId', BODY + 4, 4], ['obsDomainId', BODY + 8, 4], ['obsPointId', BODY + 12, 4],
    ['outputOdpPort', BODY + 16, 4], ['direction', BODY + 20, 4],
  ] },
  ipfix:      { number: USER_ACTION_COOKIE.IPFIX,       fields: [['outputOdpPort', BODY, 4]] },
  controller: { number: USER_ACTION_COOKIE.CONTROLLER,  fields: [
    ['dontSend', BODY, 1], ['continuation', BODY + 1, 1], ['reason', BODY + 2, 2], ['recircId', BODY + 4, 4],
    ['ruleCookie', BODY + 8, 8, 'be'], ['controllerId', BODY + 16, 2], ['maxLen', BODY + 18, 2],
  ] },
};

/** The 48 bytes of a cookie.  Without an origin: no port, no ofproto, as text says nothing of them. */
export function encodeCookie(cookie: CookieBody & Partial<Origin>): Uint8Array {
  const { number, fields } = LAYOUT[cookie.type];
  const out = new Uint8Array(USER_ACTION_COOKIE_SIZE);
  hostUintToBytes(BigInt(number), out, 0, 2);
  hostUintToBytes(BigInt(cookie.ofpInPort ?? OFPP_NONE), out, 4, 4);
  if (cookie.ofprotoUuid) out.set(cookie.ofprotoUuid.subarray(0, 16), 8);
  const values = cookie as unknown as Readonly<Record<string, number | bigint | boolean>>;
  for (const [name, at, size, order] of fields) {
    const put = order === 'be' ? uintToBytes : hostUintToBytes;
    put(BigInt.asUintN(8 * size, BigInt(values[name] ?? 0)), out, at, size);
  }
  return out;
}

/** What a cookie says; undefined for userdata that is none. */
export function decodeCookie(bytes: Uint8Array): UserActionCookie | undefined {
  if (bytes.length !== USER_ACTION_COOKIE_SIZE) return undefined;
  const number = hostUint(bytes, 0, 2);
  const variant = Object.entries(LAYOUT).find(([, layout]) => layout.number === number);
  if (!variant) return undefined;
  const [type, { fields }] = variant;
  const out: Record<string, unknown> = {
    type,
    ofpInPort: hostUint(bytes, 4, 4),
    ofprotoUuid: bytes.slice(8, 24),
  };
  for (const [name, at, size, order] of fields) {
    if (size === 8) out[name] = bytesToUint(bytes, at, 8);
    else if (size === 1) out[name] = bytes[at] !== 0;
    else out[name] = order === 'be' ? beUint(bytes, at, size) : hostUint(bytes, at, size);
  }
  return out as unknown as UserActionCookie;
}
