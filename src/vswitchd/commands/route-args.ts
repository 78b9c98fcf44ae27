/**
 * What the arguments of ovs/route/* say.  They are read as loosely as the stock switch reads them: what follows a number that was found is left out.
 * Source: lib/ovs-router.c, lib/util.c (ovs_scan).
 */
import { scanNumber } from '../../openflow/ofp-text.ts';
import { UnixctlError } from '../../unixctl/unixctl-server.ts';
import { ANY_V4, ANY_V6, type IpPrefix, parsePrefix, scanIpv4, scanIpv6 } from '../router/ip-prefix.ts';

/** The number behind `name`; undefined if `text` is not "NAME=NUMBER".  `base` 0 takes hexadecimal and octal numbers, too. */
export function scanField(text: string, name: string, base: 0 | 10 = 10): number | undefined {
  const number = text.startsWith(`${name}=`) ? scanNumber(text.slice(name.length + 1), base) : undefined;
  // A hexadecimal number without digits is none.
  if (number === undefined || (base === 0 && number.value === 0n && /^x/i.test(number.rest))) return undefined;
  return Number(BigInt.asUintN(32, number.value));
}

export const scanMark = (text: string): number | undefined => scanField(text, 'pkt_mark', 0);

/** Undefined if `text` says nothing of a table. */
export function scanTable(text: string): number | undefined {
  const table = scanField(text, 'table');
  if (table === undefined && text.startsWith('table=')) throw new UnixctlError('Invalid table format');
  return table;
}

/** The address behind "src=", of the family that `isV6` says; undefined if there is none. */
export function scanSource(text: string, isV6: boolean): bigint | undefined {
  if (!text.startsWith('src=')) return undefined;
  const address = text.slice('src='.length);
  return (isV6 ? scanIpv6(address) : scanIpv4(address))?.address;
}

export function prefixOf(text = ''): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new UnixctlError('Invalid parameters');
  return prefix;
}

/** Whether an address, or a prefix, is written as one of IPv6. */
export const isV6Text = (text: string): boolean => text.includes(':');

/** The address 0 says that there is none. */
export const orNone = (address: bigint | undefined): bigint | undefined =>
  address === ANY_V4 || address === ANY_V6 ? undefined : address;
