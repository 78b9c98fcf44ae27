/**
 * Where OpenFlow connections come from and go to: "tcp:HOST[:PORT]", "ssl:HOST[:PORT]", "unix:FILE", and the same with a "p" before it for
 * those that others connect to: "ptcp:[PORT][:HOST]", "pssl:[PORT][:HOST]", "punix:FILE".
 * Source: lib/vconn.c, lib/socket-util.c (inet_parse_active, inet_parse_passive), ovs-vswitchd.conf.db(5) (Controller.target).
 */
import { resolve } from 'node:path';

/** OFP_PORT. */
const DEFAULT_PORT = 6653;

export type Target =
  | { readonly isPassive: boolean; readonly kind: 'unix'; readonly path: string }
  /** Passive: `host` undefined is every address, and a `port` of 0 any. */
  | {
      readonly isPassive: boolean;
      readonly kind: 'tcp' | 'ssl';
      readonly host: string | undefined;
      readonly port: number;
    };

const bad = (text: string, why: string): RangeError => new RangeError(`${text}: ${why}`);

function portNumber(text: string, part: string | undefined, least: number, usual: number): number {
  if (part === undefined || part === '') return usual;
  const port = /^\d+$/.test(part) ? Number(part) : -1;
  if (port < least || port > 65535) throw bad(text, `bad port number "${part}"`);
  return port;
}

/** Cuts at colons, but not at those of an IPv6 address in brackets; brackets and scope stay out. */
const cut = (rest: string): string[] =>
  [...rest.matchAll(/(?:^|:)(\[[^\]]*\]|[^:]*)/g)].map((m) => (m[1] ?? '').replace(/^\[(.*)\]$/, '$1'));

/** Reads a target; `runDir` is where relative paths begin, `usual` the port if none is named.  Throws a RangeError that says what is wrong. */
export function parseTarget(text: string, runDir: string, usual: number = DEFAULT_PORT): Target {
  const m = /^(p?)(tcp|ssl|unix):(.*)$/s.exec(text);
  if (m === null) throw bad(text, 'unknown kind of connection, want tcp, ssl, unix, ptcp, pssl or punix');
  const isPassive = m[1] === 'p';
  const rest = m[3] as string;
  if (m[2] === 'unix') {
    if (rest === '') throw bad(text, 'no file name');
    return { isPassive, kind: 'unix', path: resolve(runDir, rest) };
  }
  const kind = m[2] as 'tcp' | 'ssl';
  const parts = cut(rest);
  if (parts.length > 2) throw bad(text, 'too many colons (IPv6 addresses stand in brackets)');
  if (isPassive) return { isPassive, kind, host: parts[1] || undefined, port: portNumber(text, parts[0], 0, usual) };
  if (!parts[0]) throw bad(text, 'no host');
  return { isPassive, kind, host: parts[0], port: portNumber(text, parts[1], 1, usual) };
}
