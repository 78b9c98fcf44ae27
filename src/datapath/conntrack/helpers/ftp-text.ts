/**
 * The lines of FTP that announce a data connection: finding and writing them.
 *
 *     PORT 10,0,0,1,4,210         EPRT |1|10.0.0.1|1234|      EPRT |2|fe80::1|1234|       of the client
 *     227 ... (10,0,0,1,4,210)    229 ... (|||1234|)                                      of the server
 *
 * Sources: RFC 959, RFC 2428; net/netfilter/nf_conntrack_ftp.c.
 */

import { parseIpv6Words, printIpv6Words } from '../ip-text.ts';

export interface FtpCommand {
  readonly kind: 'PORT' | 'EPRT' | 'PASV' | 'EPSV';
  /** Four words; undefined if the command says none: the address of whoever says it. */
  readonly addr: readonly number[] | undefined;
  readonly port: number;
  /** The part of the line that says where, and where it begins. */
  readonly text: string;
  readonly offset: number;
}

/** What the line says, 'partial' if it is cut off in the middle, undefined if it is no such line. */
export function findCommand(line: string, isReply: boolean, isV6: boolean): FtpCommand | 'partial' | undefined {
  if (isReply) {
    if (line.startsWith('227 ')) return isV6 ? undefined : commaForm('PASV', line, /^227 [^(\r\n]*\(?/, ')');
    if (line.startsWith('229 ')) return epsv(line);
    return undefined;
  }
  if (/^PORT/i.test(line)) return isV6 ? undefined : commaForm('PORT', line, /^PORT ?/i, '\r');
  if (/^EPRT/i.test(line)) return eprt(line, isV6);
  return undefined;
}

/** Six numbers between commas: address and port. */
function commaForm(kind: 'PORT' | 'PASV', line: string, head: RegExp, end: string): FtpCommand | 'partial' | undefined {
  let offset = head.exec(line)?.[0].length ?? 0;
  // Not all servers put it into brackets.
  if (kind === 'PASV' && line[offset - 1] !== '(') offset = line.search(/\d{1,3}(,\d{1,3}){5}/);
  if (offset < 0) return undefined;
  const match = /^(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})/.exec(line.slice(offset));
  if (match === null) return /^[\d,]*$/.test(line.slice(offset)) ? 'partial' : undefined;
  const text = match[0];
  if (offset + text.length === line.length && end === '\r') return 'partial';
  const n = match.slice(1).map(Number);
  if (n.some((v) => v > 255)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, high = 0, low = 0] = n;
  const port = (high << 8) | low;
  return port === 0 ? undefined : { kind, addr: [(a << 24) | (b << 16) | (c << 8) | d, 0, 0, 0], port, text, offset };
}

function eprt(line: string, isV6: boolean): FtpCommand | 'partial' | undefined {
  const offset = /^EPRT ?/i.exec(line)![0].length;
  const match = /^([!-~])([12])\1([^|\s]*?)\1(\d{1,5})\1/.exec(line.slice(offset));
  if (match === null) return /[\r\n]/.test(line) ? undefined : 'partial';
  const [text, , family, host = '', digits] = match;
  const port = Number(digits);
  if ((family === '2') !== isV6 || port === 0 || port > 0xffff) return undefined;
  const addr = isV6 ? parseIpv6Words(host) : ipv4Words(host);
  return addr === undefined ? undefined : { kind: 'EPRT', addr, port, text, offset };
}

function epsv(line: string): FtpCommand | 'partial' | undefined {
  const open = line.indexOf('(');
  if (open < 0) return /[\r\n]/.test(line) ? undefined : 'partial';
  const match = /^([!-~])\1\1(\d{1,5})\1/.exec(line.slice(open + 1));
  if (match === null) return /[\r\n]/.test(line) ? undefined : 'partial';
  const port = Number(match[2]);
  if (port === 0 || port > 0xffff) return undefined;
  return { kind: 'EPSV', addr: undefined, port, text: match[0], offset: open + 1 };
}

function ipv4Words(host: string): number[] | undefined {
  const parts = host.split('.');
  if (parts.length !== 4 || parts.some((p) => !/^\d{1,3}$/.test(p) || Number(p) > 255)) return undefined;
  return [parts.reduce((word, p) => (word << 8) | Number(p), 0), 0, 0, 0];
}

/** The text that says `addr` and `port` in the place of the command's. */
export function formatCommand(command: FtpCommand, addr: Int32Array, port: number, isV6: boolean): string {
  const word = addr[0]!;
  const octets = [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff];
  switch (command.kind) {
    case 'EPSV':
      return `|||${port}|`;
    case 'EPRT':
      return isV6 ? `|2|${printIpv6Words(addr)}|${port}|` : `|1|${octets.join('.')}|${port}|`;
    default:
      return [...octets, port >>> 8, port & 0xff].join(',');
  }
}
