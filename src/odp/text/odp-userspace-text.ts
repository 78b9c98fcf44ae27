/**
 * Text of the userspace action: `userspace(pid=1,slow_path(lldp))`, `userspace(pid=1,userdata(0102...),actions)`.
 * Source: lib/odp-util.c (format_odp_userspace_action, parse_odp_userspace_action).
 */
import type { MessageWriter } from '../../netlink/message.ts';
import { OVS_ACTION_ATTR, OVS_USERSPACE_ATTR as U } from '../action-attrs.ts';
import { SLOW_PATH_ALL, SLOW_PATH_NAMES } from '../slow-path.ts';
import {
  type CookieBody,
  decodeCookie,
  encodeCookie,
  SAMPLE_DIRECTION,
  USER_ACTION_COOKIE_SIZE,
} from '../user-action-cookie.ts';
import { ANY_SIZE, exactly, hexBytes, hostUint, readSet } from './odp-attr-list.ts';
import { formatFlags, scanFlags } from './odp-text-kinds.ts';
import type { Scanner } from './odp-text-scan.ts';

const RULES = {
  [U.PID]: { ...exactly(4), required: true },
  [U.USERDATA]: ANY_SIZE,
  [U.EGRESS_TUN_PORT]: exactly(4),
  [U.ACTIONS]: ANY_SIZE,
} as const;

/** Userdata is at least this long: the first kernels wanted exactly 8 bytes. */
const MIN_USERDATA = 8;

/** `port` prints a port number or its name. */
export function formatUserspace(nest: Uint8Array, port: (portNo: number) => string): string {
  const set = readSet(nest, RULES);
  const pid = set?.get(U.PID);
  if (!set || !pid) return 'userspace(error)';
  const parts = [`pid=${hostUint(pid, 0, 4)}`];
  const userdata = set.get(U.USERDATA);
  if (userdata) {
    const cookie = decodeCookie(userdata);
    parts.push(cookie ? formatCookie(cookie, port) : `userdata(${hexBytes(userdata)})`);
  }
  if (set.has(U.ACTIONS)) parts.push('actions');
  const out = set.get(U.EGRESS_TUN_PORT);
  if (out) parts.push(`tunnel_out_port=${port(hostUint(out, 0, 4))}`);
  return `userspace(${parts.join(',')})`;
}

function formatCookie(c: CookieBody, port: (portNo: number) => string): string {
  switch (c.type) {
    case 'sflow':
      return `sFlow(vid=${c.vlanTci & 0xfff},pcp=${c.vlanTci >>> 13},output=${c.output})`;
    case 'slowPath':
      return `slow_path(${formatFlags(SLOW_PATH_NAMES, c.reason, ',')})`;
    case 'flowSample': {
      const ids = `probability=${c.probability},collector_set_id=${c.collectorSetId}`;
      const obs = `obs_domain_id=${c.obsDomainId},obs_point_id=${c.obsPointId}`;
      const { INGRESS, EGRESS } = SAMPLE_DIRECTION;
      const direction = c.direction === INGRESS ? ',ingress' : c.direction === EGRESS ? ',egress' : '';
      return `flow_sample(${ids},${obs},output_port=${port(c.outputOdpPort)}${direction})`;
    }
    case 'ipfix':
      return `ipfix(output_port=${port(c.outputOdpPort)})`;
    case 'controller': {
      const flags = `reason=${c.reason},dont_send=${Number(c.dontSend)},continuation=${Number(c.continuation)}`;
      const rule = c.ruleCookie === 0n ? '0' : `0x${c.ruleCookie.toString(16)}`;
      const ids = `recirc_id=${c.recircId},rule_cookie=${rule},controller_id=${c.controllerId}`;
      return `controller(${flags},${ids},max_len=${c.maxLen})`;
    }
  }
}

/** Reads `userspace(...)` and appends the action to `out`.  False if the text is not well-formed. */
export function parseUserspace(s: Scanner, out: MessageWriter): boolean {
  const pid = s.match('userspace(pid={i32}')?.[0];
  if (pid === undefined) return false;
  let userdata: Uint8Array | undefined;
  if (s.lit(',userdata(')) userdata = parseHexUserdata(s);
  else {
    const cookie = parseCookie(s);
    if (cookie === 'bad') return false;
    userdata = cookie ? encodeCookie(cookie) : new Uint8Array(USER_ACTION_COOKIE_SIZE);
  }
  if (!userdata) return false;
  const hasActions = s.lit(',actions');
  const tunnelOutPort = s.match(',tunnel_out_port={i32}')?.[0];
  if (!s.lit(')')) return false;

  const nest = out.nest(OVS_ACTION_ATTR.USERSPACE);
  out.attrU32(U.PID, Number(pid));
  const padded = new Uint8Array(Math.max(MIN_USERDATA, userdata.length));
  padded.set(userdata);
  out.attrBytes(U.USERDATA, padded);
  // Port number 0xffffffff says that there is none.
  if (tunnelOutPort !== undefined && tunnelOutPort !== 0xffffffffn)
    out.attrU32(U.EGRESS_TUN_PORT, Number(tunnelOutPort));
  if (hasActions) out.attrFlag(U.ACTIONS);
  out.endNest(nest);
  return true;
}

/** A cookie's text, after the comma; undefined if none is there, "bad" if one begins and does not end. */
function parseCookie(s: Scanner): CookieBody | 'bad' | undefined {
  const sflow = s.match(',sFlow(vid={i32},pcp={i32},output={i32})');
  if (sflow) {
    const [vid = 0n, pcp = 0n, output = 0n] = sflow;
    const tci = Number((vid | (pcp << 13n)) & 0xffffn);
    return { type: 'sflow', vlanTci: tci ? tci | 0x1000 : 0, output: Number(output) };
  }
  if (s.lit(',slow_path(')) {
    const found = scanFlags(SLOW_PATH_NAMES, s, SLOW_PATH_ALL, false);
    return found && s.lit(')') ? { type: 'slowPath', reason: found.flags } : 'bad';
  }
  const sample = s.match(
    ',flow_sample(probability={i32},collector_set_id={i32},obs_domain_id={i32},obs_point_id={i32},output_port={i32}',
  );
  if (sample) {
    const [probability = 0, collectorSetId = 0, obsDomainId = 0, obsPointId = 0, outputOdpPort = 0] =
      sample.map(Number);
    const { DEFAULT, INGRESS, EGRESS } = SAMPLE_DIRECTION;
    const direction = s.lit(',ingress') ? INGRESS : s.lit(',egress') ? EGRESS : DEFAULT;
    if (!s.lit(')')) return 'bad';
    return { type: 'flowSample', probability, collectorSetId, obsDomainId, obsPointId, outputOdpPort, direction };
  }
  const ipfix = s.match(',ipfix(output_port={i32})');
  if (ipfix) return { type: 'ipfix', outputOdpPort: Number(ipfix[0]) };
  const controller = s.match(
    ',controller(reason={u16},dont_send={u8},continuation={u8},recirc_id={u32},rule_cookie={x64},' +
      'controller_id={u16},max_len={u16})',
  );
  if (!controller) return undefined;
  const [reason = 0, dontSend = 0, continuation = 0, recircId = 0, , controllerId = 0, maxLen = 0] =
    controller.map(Number);
  return {
    type: 'controller',
    reason,
    dontSend: dontSend !== 0,
    continuation: continuation !== 0,
    recircId,
    ruleCookie: controller[4] ?? 0n,
    controllerId,
    maxLen,
  };
}

function parseHexUserdata(s: Scanner): Uint8Array | undefined {
  const digits = /^(?:[ .\t\r\n]*[0-9a-fA-F]{2})*[ .\t\r\n]*\)/.exec(s.rest)?.[0];
  if (digits === undefined) return undefined;
  s.at += digits.length;
  return Uint8Array.from(Buffer.from(digits.replace(/[^0-9a-fA-F]/g, ''), 'hex'));
}
