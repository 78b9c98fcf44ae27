/**
 * OpenFlow controllers of the tests: they listen in the test's own process, at Unix sockets, which know no namespaces.  For TCP and TLS a
 * relay runs in the switch's namespace.  Neighbours: harness.ts, openflow-controllers.test.ts.
 */
import { existsSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { decodeMessage, encodeMessage } from '../../src/openflow/messages/codec.ts';
import type { BodyOf, OfMessage, OfMessageOf } from '../../src/openflow/messages/of-message.ts';
import type { OfVersion } from '../../src/openflow/ofp-errors.ts';
import type { OfKind } from '../../src/openflow/ofp-msgs.ts';
import { ALL_VERSIONS } from '../../src/openflow/ofp-version.ts';
import { Vconn } from '../../src/openflow/vconn.ts';
import { type Daemon, eventually, type Lab, type Namespace } from './harness.ts';

/** One connection with a switch. */
export class Peer {
  /** What the switch said that was no answer. */
  readonly told: OfMessage[] = [];
  readonly vconn: Vconn;
  isClosed = false;
  /** Echo requests are not answered. */
  isMute: boolean;
  private readonly answers = new Map<number, OfMessage[]>();

  constructor(socket: Socket, versions: number, isMute = false) {
    this.isMute = isMute;
    this.vconn = new Vconn(socket, { name: 'test', versions });
    this.vconn.onMessage = (bytes) => this.take(decodeMessage(bytes));
    this.vconn.onClose = () => {
      this.isClosed = true;
    };
  }

  private take(msg: OfMessage): void {
    const { version, xid } = msg;
    if (msg.kind === 'echo_request') {
      if (!this.isMute)
        this.vconn.send(encodeMessage({ kind: 'echo_reply', version: version as OfVersion, xid, body: msg.body }));
    } else if (this.answers.has(xid)) this.answers.get(xid)?.push(msg);
    else this.told.push(msg);
  }

  get version(): OfVersion {
    if (this.vconn.version === undefined) throw new Error('no version yet');
    return this.vconn.version;
  }

  /** Sends a message that nothing is to answer. */
  tell<K extends OfKind>(kind: K, body: BodyOf[K]): void {
    this.vconn.send(encodeMessage({ kind, version: this.version, xid: this.vconn.xid(), body }));
  }

  /** Sends a request, and gives what answers it, up to a barrier. */
  async ask<K extends OfKind>(kind: K, body: BodyOf[K]): Promise<OfMessage[]> {
    const xid = this.vconn.xid();
    return await this.askRaw(encodeMessage({ kind, version: this.version, xid, body }), xid);
  }

  /** The same with the bytes of a message, whose transaction id is `xid`. */
  async askRaw(bytes: Uint8Array, xid: number): Promise<OfMessage[]> {
    const barrier = this.vconn.xid();
    const answers: OfMessage[] = [];
    const barriers: OfMessage[] = [];
    this.answers.set(xid, answers).set(barrier, barriers);
    this.vconn.send(bytes);
    this.vconn.send(encodeMessage({ kind: 'barrier_request', version: this.version, xid: barrier, body: undefined }));
    await eventually('an answer to a barrier', () => barriers.length > 0);
    this.answers.delete(xid);
    this.answers.delete(barrier);
    return answers;
  }

  /** Waits for a message that nobody asked for; it is taken out of `told`. */
  async hears<K extends OfKind>(kind: K, is: (msg: OfMessageOf<K>) => boolean = () => true): Promise<OfMessageOf<K>> {
    const at = await eventually(`the switch tells ${kind}`, () => {
      const found = this.told.findIndex((m) => m.kind === kind && is(m as unknown as OfMessageOf<K>));
      return found < 0 ? undefined : { found };
    });
    return this.told.splice(at.found, 1)[0] as unknown as OfMessageOf<K>;
  }

  close(): void {
    this.vconn.close();
  }
}

/** Connects to a socket that a switch listens at; resolves when a version is agreed on. */
export async function connectPeer(path: string, versions = ALL_VERSIONS): Promise<Peer> {
  await eventually(`${path} is there`, () => existsSync(path));
  const peer = new Peer(connect(path), versions);
  await eventually('a version is agreed on', () => peer.vconn.version !== undefined);
  return peer;
}

/** A controller that waits for switches at a Unix socket. */
export class Controller {
  readonly path: string;
  readonly target: string;
  readonly versions: number;
  /** All connections that there ever were, and when each came. */
  readonly peers: Peer[] = [];
  readonly times: number[] = [];
  isMute = false;
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();

  constructor(lab: Lab, name: string, versions = ALL_VERSIONS) {
    this.path = join(lab.dir, name);
    this.target = `unix:${this.path}`;
    this.versions = versions;
  }

  async start(): Promise<this> {
    const server = createServer((socket) => {
      this.sockets.add(socket);
      this.times.push(Date.now());
      this.peers.push(new Peer(socket, this.versions, this.isMute));
    });
    this.server = server;
    await new Promise<void>((done) => void server.listen(this.path, done));
    return this;
  }

  /** The connection that is open now, or the next one. */
  peer(ms = 15_000): Promise<Peer> {
    return eventually(
      `a switch connects to ${this.path}`,
      () => this.peers.find((p) => !p.isClosed && p.vconn.version !== undefined),
      ms,
    );
  }

  /** Ends all connections and listens no more, as if the process had been killed. */
  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
    const { server } = this;
    this.server = undefined;
    if (server !== undefined) await new Promise((done) => server.close(done));
    rmSync(this.path, { force: true });
  }
}

/** Arguments: the port, the Unix socket, and for TLS the files of private key, certificate and CA, in PEM. */
const RELAY = `
const [fs, net, tls] = ['fs', 'net', 'tls'].map((m) => require('node:' + m));
const [port, path, key, cert, ca] = process.argv.slice(1);
const join = (a) => {
  const b = net.connect(path);
  a.pipe(b).pipe(a);
  a.on('error', () => b.destroy()).on('close', () => b.destroy());
  b.on('error', () => a.destroy()).on('close', () => a.destroy());
};
const read = (file) => fs.readFileSync(file);
const server = key
  ? tls.createServer({ key: read(key), cert: read(cert), ca: read(ca), requestCert: true, rejectUnauthorized: true }, join)
  : net.createServer(join);
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
`;

/** In `ns`: connections to a TCP port of localhost go on to `controller`; with files, over TLS. */
export async function relay(ns: Namespace, port: number, controller: Controller, ...tls: string[]): Promise<Daemon> {
  const daemon = ns.daemon(`relay-${port}`, [process.execPath, '-e', RELAY, String(port), controller.path, ...tls]);
  await daemon.until('listens', () => daemon.output().includes('ready'));
  return daemon;
}
