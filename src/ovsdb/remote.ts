/**
 * The names of database servers: "unix:FILE", "tcp:HOST[:PORT]", "ssl:HOST[:PORT]", several of them separated by commas,
 * and "cid:UUID" among them for a cluster's id; and how to connect to one.
 * Source: ovsdb(7) (Connection Methods), lib/ovsdb-session.c.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { bootstrapCa, type TlsFiles, tlsOptions, wantsBootstrap } from '../util/tls-files.ts';

const DEFAULT_PORT = 6640;

export type Remote = { readonly name: string } & (
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number }
);

/** Parses one remote.  Throws a RangeError that says what is wrong. */
export function parseRemote(name: string): Remote {
  if (name.startsWith('unix:') && name.length > 5) return { name, kind: 'unix', path: name.slice(5) };
  const [, kind, bracketed, plain, digits] = /^(tcp|ssl):(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(name) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits ?? DEFAULT_PORT);
  if (host === undefined || port > 65535) {
    throw new RangeError(`database "${name}": want unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT`);
  }
  return { name, kind: kind === 'ssl' ? 'ssl' : 'tcp', host, port };
}

export interface Remotes {
  /** One at least. */
  readonly remotes: readonly Remote[];
  /** Id of the cluster that the database has to be of; undefined: the database's name says which. */
  readonly cid: string | undefined;
}

/** Parses the names of servers that have the same database.  Throws a RangeError. */
export function parseRemotes(text: string): Remotes {
  const names = text.split(/,(?=\s*(?:unix|tcp|ssl|cid):)/).map((name) => name.trim());
  const cid = names.find((name) => /^cid:[0-9a-f-]{36}$/.test(name))?.slice(4);
  const remotes = names.filter((name) => name !== '' && name !== `cid:${cid}`).map(parseRemote);
  if (remotes.length === 0) throw new RangeError(`database "${text}": no server is named`);
  return { remotes, cid };
}

/** Where the files for "ssl:" are; asked at each attempt, since they may become known later. */
export type TlsSource = () => TlsFiles | undefined;

/**
 * Begins to connect.  `onUp` is called when bytes can be sent, unless the socket was closed meanwhile; the other events are
 * the socket's.  Throws if the TLS files cannot be read.
 */
export function connectRemote(remote: Remote, tls: TlsSource, onUp: () => void): Socket {
  if (remote.kind === 'unix') return connectPlain({ path: remote.path }, onUp);
  const { host, port } = remote;
  if (remote.kind === 'tcp') return connectPlain({ host, port }, onUp);
  const files = tls();
  const isBootstrap = wantsBootstrap(files);
  const socket: TLSSocket = connectTls({ host, port, ...tlsOptions(files) }, () => {
    if (files === undefined || !isBootstrap) return onUp();
    bootstrapCa(files, socket);
    socket.destroy();
  });
  return socket;
}
