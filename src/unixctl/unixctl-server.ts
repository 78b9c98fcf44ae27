/**
 * The control socket of a daemon, which `ovs-appctl` talks to: JSON-RPC 1.0 on a Unix socket, where the method is a
 * command's name, the parameters are its arguments, all strings, and the result or the error is text for a person.
 * Commands are rows of tables (vswitchd/commands/); "list-commands", "version" and "set-options" come with the server.
 * A client that asked for JSON with set-options gets JSON from commands that have it, and text in a JSON object from the others.
 * The client's side is unixctl-client.ts.  Source: lib/unixctl.c, ovs-appctl(8).
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { coverage } from '../util/coverage.ts';
import { type Json, type JsonObject, JsonStream } from '../util/json-stream.ts';
import { accepts } from '../util/unix-sockets.ts';
import { RateLimit, vlog } from '../util/vlog.ts';

const log = vlog('unixctl');
const commLimit = new RateLimit(5, 5);
const received = coverage('unixctl_received');
const replied = coverage('unixctl_replied');

const SET_OPTIONS = 'set-options';
/** How long the end waits for commands that are being carried out. */
const CLOSE_MS = 1000;
/** More than any command line has. */
const MAX_REQUEST_BYTES = 4 << 20;

export interface UnixctlCommand {
  readonly name: string;
  /** The arguments, as a person is told: "[bridge]".  Undefined hides the command. */
  readonly usage: string | undefined;
  readonly minArgs: number;
  /** May be Infinity. */
  readonly maxArgs: number;
  /** Resolves to the reply.  A UnixctlError is the command's answer "no"; anything else thrown is a bug, and logged. */
  run(args: readonly string[]): string | Promise<string>;
  /** The reply for who asked for JSON; commands without it have their text wrapped. */
  runJson?(args: readonly string[]): Json | Promise<Json>;
}

/** `--format` of ovs-appctl(8). */
type OutputFormat = 'text' | 'json';

/** One client. */
interface Connection {
  readonly socket: Socket;
  format: OutputFormat;
}

/** Why a command was not carried out, in words for the person who gave it. */
export class UnixctlError extends Error {
  override readonly name = 'UnixctlError';
}

export class UnixctlServer {
  private readonly commands: ReadonlyMap<string, UnixctlCommand>;
  private readonly sockets = new Set<Socket>();
  /** Commands that are being carried out. */
  private readonly underWay = new Set<Promise<void>>();
  private server: Server | undefined;
  private path: string | undefined;

  /** `version` is the reply to "version".  Throws a RangeError if two commands have the same name. */
  constructor(version: string, commands: readonly UnixctlCommand[]) {
    const all = [
      ...commands,
      {
        name: 'list-commands',
        usage: '',
        minArgs: 0,
        maxArgs: 0,
        run: () => this.listCommands(),
        runJson: () => Object.fromEntries(this.shownCommands().map((c) => [c.name, c.usage])),
      },
      // Acts on the connection that it comes on, so that `answer` carries it out.
      { name: SET_OPTIONS, usage: '[--format text|json]', minArgs: 1, maxArgs: 2, run: () => '' },
      { name: 'version', usage: '', minArgs: 0, maxArgs: 0, run: () => version },
    ];
    this.commands = new Map(all.map((c) => [c.name, c]));
    if (this.commands.size !== all.length) throw new RangeError('unixctl: two commands of the same name');
  }

  /**
   * Listens on `path`, for this user only.  A socket that a dead process left there is replaced; rejects with the Error of
   * bind(2) otherwise, EADDRINUSE if a living process listens there.
   */
  async listen(path: string): Promise<void> {
    if (await accepts(path)) {
      throw Object.assign(new Error(`${path}: another process listens there`), { code: 'EADDRINUSE' });
    }
    rmSync(path, { force: true });
    const server = createServer((socket) => this.serve(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o700);
    this.server = server;
    this.path = path;
  }

  /** Ends all connections, after what was replied has been sent, and removes the socket. */
  async close(): Promise<void> {
    const server = this.server;
    if (server === undefined) return;
    this.server = undefined;
    // "exit", which brought this about, has not been replied to yet.
    await Promise.race([Promise.all(this.underWay), new Promise((resolve) => setTimeout(resolve, CLOSE_MS))]);
    for (const socket of this.sockets) socket.destroySoon();
    const closed = new Promise((resolve) => server.close(resolve));
    // Before the last connection has ended: then another process may have its socket there already.
    if (this.path !== undefined) rmSync(this.path, { force: true });
    await closed;
  }

  private shownCommands(): { readonly name: string; readonly usage: string }[] {
    const shown = [...this.commands.values()].flatMap(({ name, usage }) =>
      usage === undefined ? [] : [{ name, usage }],
    );
    return shown.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  private listCommands(): string {
    const lines = this.shownCommands().map((c) => `  ${c.name.padEnd(23)} ${c.usage}\n`);
    return `The available commands are:\n${lines.join('')}`;
  }

  private serve(socket: Socket): void {
    const stream = new JsonStream(MAX_REQUEST_BYTES);
    const connection: Connection = { socket, format: 'text' };
    let work = Promise.resolve();
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    socket.on('error', (error) => log.dbg(`communication error: ${error.message}`));
    socket.on('data', (chunk) => {
      try {
        stream.push(chunk, (message) => {
          // One request at a time a connection: replies keep the order of the requests.
          socket.pause();
          work = work.then(() => this.answer(connection, message)).then(() => void socket.resume());
        });
      } catch (error) {
        log.warn(`error processing request: ${(error as Error).message}`, commLimit);
        socket.destroy();
      }
    });
  }

  private answer(connection: Connection, message: JsonObject): Promise<void> {
    const done = this.carryOut(connection, message).finally(() => this.underWay.delete(done));
    this.underWay.add(done);
    return done;
  }

  private async carryOut(connection: Connection, message: JsonObject): Promise<void> {
    const { socket } = connection;
    const { method, params, id = null } = message;
    if (typeof method !== 'string' || !Array.isArray(params)) {
      log.warn('received message that is not a request', commLimit);
      socket.destroy();
      return;
    }
    received.n++;
    let reply: { result: Json; error: Json };
    try {
      reply = { result: await this.run(connection, method, params), error: null };
    } catch (error) {
      if (!(error instanceof UnixctlError)) log.err(`command "${method}": ${(error as Error).stack}`);
      reply = { result: null, error: withNewline((error as Error).message) };
    }
    replied.n++;
    log.dbg(
      () =>
        `replying with ${reply.error === null ? 'success' : 'error'}, id=${JSON.stringify(id)}: ${JSON.stringify(reply.error ?? reply.result)}`,
    );
    if (socket.writable) socket.write(JSON.stringify({ id, ...reply }));
  }

  private async run(connection: Connection, name: string, params: readonly Json[]): Promise<Json> {
    log.dbg(() => `received request ${name}${JSON.stringify(params)}`);
    const command = this.commands.get(name);
    if (command === undefined) {
      throw new UnixctlError(`"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`);
    }
    const { minArgs, maxArgs } = command;
    if (params.length < minArgs) throw new UnixctlError(`"${name}" command requires at least ${minArgs} arguments`);
    if (params.length > maxArgs) throw new UnixctlError(`"${name}" command takes at most ${maxArgs} arguments`);
    const args = params.filter((p) => typeof p === 'string');
    if (args.length !== params.length) throw new UnixctlError(`"${name}" command has non-string argument`);
    if (name === SET_OPTIONS) connection.format = formatOption(args);
    if (connection.format === 'text') return withNewline(await command.run(args));
    if (command.runJson !== undefined) return await command.runJson(args);
    return { 'reply-format': 'plain', reply: withNewline(await command.run(args)) };
  }
}

/** Reads "--format FORMAT", "--format=FORMAT". */
function formatOption([option = '', separate, ...rest]: readonly string[]): OutputFormat {
  const [name, joined] = option.split(/=(.*)/s);
  if (name !== '--format') throw new UnixctlError(`unrecognized option '${option}'`);
  const value = joined ?? separate;
  if (value === undefined) throw new UnixctlError(`option '${option}' requires an argument`);
  const format = value.toLowerCase();
  if (rest.length > 0 || (format !== 'text' && format !== 'json')) {
    throw new UnixctlError(`option format has invalid value ${value}`);
  }
  return format;
}

const withNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
