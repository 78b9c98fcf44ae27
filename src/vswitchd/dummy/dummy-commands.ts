/**
 * What `ovs-appctl` can tell a vswitchd that runs with --enable-dummy: netdev-dummy/* and time/*.
 * Names, usage and texts are the stock program's.  Source: lib/netdev-dummy.c, lib/timeval.c.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { composeFlow } from '../../flow/flow-compose.ts';
import { newFlowKey } from '../../flow/flow-key.ts';
import { ODP_FIT, type OdpKeyReport } from '../../odp/key/fitness.ts';
import { odpKeyToFlow } from '../../odp/key/odp-key.ts';
import { parseOdpFlow } from '../../odp/text/odp-parse-key.ts';
import { OdpParseError } from '../../odp/text/odp-text-scan.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { parseIpv4 } from '../../util/inet.ts';
import type { WarpClock } from '../../util/warp-clock.ts';
import { isV4, parsePrefix } from '../router/ip-prefix.ts';
import type { DummyNetdev } from './dummy-netdev.ts';
import type { DummyNetdevs } from './dummy-netdevs.ts';

/** An Ethernet header and the least that stock programs put behind it. */
const MIN_FRAME = 60;
/** Payload of packets that are made of flows and whose size nobody asked for. */
const DEFAULT_PAYLOAD = 64;
/** How long other work has its turn after a warp. */
const WARP_PAUSE_MS = 10;

export function dummyCommands(netdevs: DummyNetdevs, clock: WarpClock): UnixctlCommand[] {
  const warper = new Warper(clock);
  // biome-ignore format: table
  return [
    { name: 'netdev-dummy/receive', usage: 'name [--qid queue_id] packet|flow [--len packet_len]', minArgs: 2, maxArgs: Infinity, run: (args) => receive(netdevs, args) },
    { name: 'netdev-dummy/set-admin-state', usage: '[netdev] up|down', minArgs: 1, maxArgs: 2, run: (args) => setAdminState(netdevs, args) },
    { name: 'netdev-dummy/conn-state', usage: '[netdev]', minArgs: 0, maxArgs: 1, run: (args) => connState(netdevs, args) },
    { name: 'netdev-dummy/ip4addr', usage: '[netdev] ipaddr/mask-prefix-len', minArgs: 2, maxArgs: 2, run: (args) => ip4addr(netdevs, args) },
    { name: 'netdev-dummy/ip6addr', usage: '[netdev] ip6addr', minArgs: 2, maxArgs: 2, run: (args) => ip6addr(netdevs, args) },
    { name: 'time/stop', usage: '', minArgs: 0, maxArgs: 0, run: () => { clock.stop(); return ''; } },
    { name: 'time/warp', usage: '[large_msecs] msecs', minArgs: 1, maxArgs: 2, run: (args) => warper.warp(args) },
  ];
}

/** As strtol() reads a number: 0 for what is none. */
const integer = (text: string | undefined): number => Number.parseInt(text ?? '', 10) || 0;

async function receive(netdevs: DummyNetdevs, args: readonly string[]): Promise<string> {
  const [name = '', ...rest] = args;
  const device = netdevs.find(name);
  if (device === undefined) throw new UnixctlError('no such dummy netdev');
  if (rest.length > 1 && rest[0] === '--qid') {
    const queue = integer(rest[1]);
    if (queue < 0 || queue >= device.nRxq) throw new UnixctlError('bad rx queue id.');
    rest.splice(0, 2);
  }
  while (rest.length > 0) {
    const text = rest.shift() ?? '';
    const frame = frameOfHex(text);
    if (frame !== undefined) {
      device.receive(frame);
      continue;
    }
    let size = 0;
    if (rest[0] === '--len') {
      size = integer(rest[1]);
      if (size < MIN_FRAME) throw new UnixctlError('too small packet len');
      rest.splice(0, 2);
    }
    device.receive(frameOfFlow(text, size));
  }
  // Devices, datapath and switch talk to each other within a turn: who hears of success finds flows, log and packet-ins.
  await nextTurn();
  await nextTurn();
  return '';
}

/** The bytes of `text`, hexadecimal digits with blanks in between; undefined if that is something else or no frame. */
function frameOfHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s+/g, '');
  if (digits === '' || digits.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(digits)) return undefined;
  const frame = Uint8Array.from(Buffer.from(digits, 'hex'));
  return frame.length < 14 ? undefined : frame;
}

/** The packet that a datapath flow's text describes, of `size` bytes if that is not 0.  Throws UnixctlError. */
function frameOfFlow(text: string, size: number): Uint8Array {
  const flow = newFlowKey();
  const why: OdpKeyReport = { error: undefined };
  try {
    const { key } = parseOdpFlow(text);
    if (odpKeyToFlow(key, flow, undefined, why) === ODP_FIT.ERROR)
      throw new UnixctlError(why.error ?? 'the flow is none that a packet can have');
  } catch (error) {
    if (error instanceof OdpParseError) throw new UnixctlError(error.message, { cause: error });
    throw error;
  }
  const frame = composeFlow(flow, size === 0 ? { payload: DEFAULT_PAYLOAD } : { size });
  if (frame === undefined) throw new UnixctlError(`packet is larger than ${size} bytes`);
  return frame;
}

function setAdminState(netdevs: DummyNetdevs, args: readonly string[]): string {
  const word = args.at(-1)?.toLowerCase();
  if (word !== 'up' && word !== 'down') throw new UnixctlError('Invalid Admin State');
  const devices: Iterable<DummyNetdev> = args.length > 1 ? [dummy(netdevs, args[0])] : netdevs.all();
  for (const device of devices) device.setAdminState(word === 'up');
  return 'OK';
}

function dummy(netdevs: DummyNetdevs, name: string | undefined): DummyNetdev {
  const device = netdevs.find(name ?? '');
  if (device === undefined) throw new UnixctlError('Unknown Dummy Interface');
  return device;
}

function connState(netdevs: DummyNetdevs, [name]: readonly string[]): string {
  const show = (of: string, isConnected: boolean | undefined) =>
    `${of}: ${isConnected === undefined ? 'unknown' : isConnected ? 'connected' : 'disconnected'}\n`;
  if (name !== undefined) return show(name, netdevs.find(name)?.isConnected);
  return [...netdevs.all()]
    .filter((device) => device.isConnected !== undefined)
    .map((device) => show(device.name, device.isConnected))
    .join('');
}

function ip4addr(netdevs: DummyNetdevs, [name, text = '']: readonly string[]): string {
  const device = dummy(netdevs, name);
  const [, address = '', mask] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  const ip = parseIpv4(address);
  const isPrefix = mask !== undefined && /^\d+$/.test(mask);
  if (ip === undefined) throw new UnixctlError(`${text}: invalid IP address`);
  if (isPrefix && Number(mask) > 32) throw new UnixctlError(`${text}: IP network prefix bits not between 0 and 32`);
  if (mask !== undefined && !isPrefix && parseIpv4(mask) === undefined) {
    throw new UnixctlError(`${text}: invalid IP address`);
  }
  device.ip4 = ip.every((byte) => byte === 0) ? undefined : ip;
  const bits = mask === undefined || isPrefix ? mask : String(onesOf(parseIpv4(mask)));
  device.network4 = device.ip4 && parsePrefix(bits === undefined ? address : `${address}/${bits}`);
  return 'OK';
}

/** How many bits of a mask are set. */
const onesOf = (mask: Uint8Array | undefined): number =>
  Array.from(mask ?? [], (byte) => byte.toString(2).replaceAll('0', '').length).reduce((sum, n) => sum + n, 0);

function ip6addr(netdevs: DummyNetdevs, [name, text = '']: readonly string[]): string {
  const device = dummy(netdevs, name);
  const prefix = parsePrefix(text);
  if (prefix === undefined || isV4(prefix.address)) throw new UnixctlError(`${text}: invalid IPv6 address`);
  device.network6 = prefix;
  return 'OK';
}

/** Carries out time/warp: one at a time. */
class Warper {
  private readonly clock: WarpClock;
  private isWarping = false;

  constructor(clock: WarpClock) {
    this.clock = clock;
  }

  /** "MSECS" at once, or "LARGE_MSECS MSECS": the first, in steps of the second. */
  async warp(args: readonly string[]): Promise<string> {
    const step = integer(args.at(-1));
    let left = args.length > 1 ? integer(args[0]) : 0;
    if (step <= 0 || left < 0) throw new UnixctlError('invalid MSECS');
    if (this.isWarping) throw new UnixctlError('A previous warp in progress');
    this.isWarping = true;
    try {
      do {
        const ms = left === 0 ? step : Math.min(step, left);
        left = Math.max(0, left - ms);
        this.clock.warp(ms);
        await sleep(WARP_PAUSE_MS);
      } while (left > 0);
    } finally {
      this.isWarping = false;
    }
    return 'warped';
  }
}
