/**
 * Which MAC address and which datapath id a bridge has: those that are configured; else the lowest universal unicast address
 * among its ports; else one made from the bridge's UUID, so that it stays the same from one run to the next.
 * Pure; bridge.ts asks.  Source: vswitchd/vswitch.xml (other_config:hwaddr, datapath-id), vswitchd/bridge.c.
 */
import { formatMac, parseMac } from '../../util/inet.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { BridgeConfig, PortConfig } from '../config/switch-config.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** Unicast addresses that protocols have taken for themselves (EDP, EAPS). */
const RESERVED = new Set(['00:e0:2b:00:00:00', '00:e0:2b:00:00:04', '00:e0:2b:00:00:06']);
const ZERO = '00:00:00:00:00:00';

export const isMulticast = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0;
const isLocalScope = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 2) !== 0;
export const isZeroMac = (mac: string): boolean => mac === ZERO;

/** `text` in the usual form, if it is an Ethernet address. */
export function normalMac(text: string | undefined): string | undefined {
  const bytes = text === undefined ? undefined : parseMac(text);
  return bytes === undefined ? undefined : formatMac(bytes);
}

/**
 * The address of bridge `config`.  `macOf` gives the address that a device has, undefined if it has none or is not
 * part of the bridge.
 */
export function pickBridgeMac(config: BridgeConfig, macOf: (ifaceName: string) => string | undefined): string {
  const wanted = normalMac(config.hwaddr);
  if (wanted !== undefined) {
    if (isMulticast(wanted))
      log.err(`bridge ${config.name}: cannot set MAC address to multicast address ${wanted}`, limit);
    else if (isZeroMac(wanted)) log.err(`bridge ${config.name}: cannot set MAC address to zero`, limit);
    else return wanted;
  }
  const candidates = config.ports
    .filter((port) => !port.isMirrorOutput)
    .map((port) => portMac(port, macOf))
    .filter((mac) => mac !== undefined)
    .filter((mac) => !isMulticast(mac) && !isLocalScope(mac) && !RESERVED.has(mac) && !isZeroMac(mac));
  candidates.sort();
  return candidates[0] ?? macFromUuid(config.uuid);
}

/** Of a port's interfaces, the first by name stands for it, unless Port.mac says otherwise; the bridge's own never does. */
function portMac(port: PortConfig, macOf: (name: string) => string | undefined): string | undefined {
  const configured = normalMac(port.mac);
  if (configured !== undefined) return configured;
  const first = port.interfaces.find((iface) => iface.isLocal || macOf(iface.name) !== undefined);
  return first === undefined || first.isLocal ? undefined : macOf(first.name);
}

/** The first six bytes of the UUID as it lies in a little-endian machine's memory, marked as a local unicast address. */
export function macFromUuid(uuid: string): string {
  const hex = uuid.replaceAll('-', '');
  const byte = (i: number) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  const bytes = Uint8Array.of((byte(3) & ~1) | 2, byte(2), byte(1), byte(0), byte(7), byte(6));
  return formatMac(bytes);
}

/** 16 hexadecimal digits: other_config:datapath-id if that is an id, else the bridge's MAC address. */
export function pickDatapathId(configured: string | undefined, bridgeMac: string): string {
  const id = configured?.replace(/^0x(?=[0-9a-f]{1,16}$)/i, '').toLowerCase() ?? '';
  const isId = /^[0-9a-f]{16}$/.test(id) || (/^0x/i.test(configured ?? '') && /^[0-9a-f]{1,16}$/.test(id));
  if (isId && !/^0+$/.test(id)) return id.padStart(16, '0');
  return bridgeMac.replaceAll(':', '').padStart(16, '0');
}
