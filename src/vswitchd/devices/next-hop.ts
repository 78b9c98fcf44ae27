/**
 * The next hop on the way to an IPv4 address, and its Ethernet address, as the kernel's tables of this network namespace have them: for in-band
 * control, which opens the way to a controller.
 * Source: lib/netdev-linux.c (netdev_linux_get_next_hop, netdev_linux_arp_lookup), proc(5) (/proc/net/route, /proc/net/arp).
 */
import { readFile } from 'node:fs/promises';
import { formatIpv4, parseMac } from '../../util/inet.ts';

const RTF = { UP: 1, GATEWAY: 2 } as const;

export interface NextHop {
  readonly device: string;
  /** 4 bytes: the gateway, or the address itself. */
  readonly ip: Uint8Array;
}

/** A number of /proc/net/route: the 4 bytes of an address as the machine reads them, which is little-endian. */
const bytesOf = (hex: string): Uint8Array => {
  const n = Number.parseInt(hex, 16);
  return Uint8Array.of(n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24);
};

/** The first route in the text of /proc/net/route that leads to `ip`; the kernel lists the longest prefixes first. */
export function routeTo(text: string, ip: Uint8Array): NextHop | undefined {
  for (const line of text.split('\n').slice(1)) {
    const [device, destination, gateway, flagText = '', , , , maskText = ''] = line.split(/\s+/);
    if (device === undefined || destination === undefined || gateway === undefined) continue;
    const flags = Number.parseInt(flagText, 16);
    if ((flags & RTF.UP) === 0) continue;
    const mask = bytesOf(maskText);
    const isWithin = bytesOf(destination).every((byte, i) => byte === ((ip[i] as number) & (mask[i] as number)));
    if (isWithin) return { device, ip: (flags & RTF.GATEWAY) === 0 ? ip : bytesOf(gateway) };
  }
  return undefined;
}

/** The Ethernet address that the text of /proc/net/arp has for a next hop; undefined: none yet. */
export function neighbour(text: string, { device, ip }: NextHop): Uint8Array | undefined {
  const address = formatIpv4(ip);
  for (const line of text.split('\n').slice(1)) {
    const [lineIp, , , mac = '', , lineDevice] = line.split(/\s+/);
    if (lineIp !== address || lineDevice !== device) continue;
    const bytes = parseMac(mac);
    return bytes?.some((b) => b !== 0) === true ? bytes : undefined;
  }
  return undefined;
}

/** Rejects with an Error if there is no way to `ip`. */
export async function findNextHop(ip: Uint8Array): Promise<Uint8Array | undefined> {
  const hop = routeTo(await readFile('/proc/net/route', 'utf8'), ip);
  if (hop === undefined) throw new Error('No such device or address');
  return neighbour(await readFile('/proc/net/arp', 'utf8'), hop);
}
