/**
 * Ways to a syslog daemon (--syslog-method), for util/vlog.ts.  A socket is opened at the first message; without a daemon that listens the
 * messages are lost, and the socket is tried again now and then.
 * Source: lib/syslog-libc.c, lib/syslog-direct.c, syslog(3), RFC 3164.
 */
import { writeSync } from 'node:fs';
import { native } from '../native/index.ts';
import { monotonicMs, wallMs } from '../util/clock.ts';
import { LOG_DAEMON } from '../util/log-levels.ts';
import { logIdentity } from '../util/log-pattern.ts';
import { strftime } from '../util/strftime.ts';
import type { SyslogSink } from '../util/vlog.ts';
import { UsageError } from './command-line.ts';

const DEV_LOG = '/dev/log';
const RETRY_MS = 5000;
const FACILITY_MASK = 0x3f8;

/** A socket that datagrams go to, and that forgets what nobody takes. */
class DatagramSocket {
  private readonly address: string;
  private readonly port: number;
  private fd: number | undefined;
  private retryAt = Number.NEGATIVE_INFINITY;
  /** The largest datagram that the socket has taken no offence at. */
  private maxSize = Number.POSITIVE_INFINITY;

  constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
  }

  send(text: string): void {
    const bytes = Buffer.from(text);
    // A second try with a new socket: the daemon may have been started again.
    for (let attempt = 0; attempt < 2; attempt++) {
      const fd = this.open();
      if (fd === undefined) return;
      try {
        this.write(fd, bytes);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return;
        native().closeFd(fd);
        this.fd = undefined;
      }
    }
  }

  private open(): number | undefined {
    if (this.fd === undefined && monotonicMs() >= this.retryAt) {
      try {
        this.fd = native().connectDatagram(this.address, this.port);
      } catch {
        this.retryAt = monotonicMs() + RETRY_MS;
      }
    }
    return this.fd;
  }

  /** Cuts what is too long for the socket. */
  private write(fd: number, bytes: Buffer): void {
    for (let size = Math.min(bytes.length, this.maxSize); ; ) {
      try {
        writeSync(fd, bytes, 0, size);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EMSGSIZE' || size < 20) throw error;
        size -= Math.floor(size / 20);
        this.maxSize = size;
      }
    }
  }
}

const withFacility = (priority: number): number =>
  (priority & FACILITY_MASK) === 0 ? priority | LOG_DAEMON : priority;

/** "1.2.3.4:514", "[::1]:514". */
function parseTarget(text: string): { readonly ip: string; readonly port: number } | undefined {
  const [, v6, v4, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const ip = v6 ?? v4;
  const port = Number(digits);
  return ip === undefined || port === 0 || port > 0xffff ? undefined : { ip, port };
}

/** The sink of a --syslog-method.  Throws a UsageError for none that there is. */
export function syslogSink(method: string): SyslogSink {
  if (method === 'null') return { prefix: '', send: () => undefined };
  if (method === 'libc') {
    const socket = new DatagramSocket(DEV_LOG, 0);
    return {
      prefix: '<%B> %D{%h %e %T} %E %A:',
      send: (priority, line) => {
        const time = strftime('%h %e %T', wallMs(), false);
        socket.send(`<${withFacility(priority)}>${time} ${logIdentity.program}: ${line}`);
      },
    };
  }
  const target = method.startsWith('udp:') ? parseTarget(method.slice(4)) : undefined;
  if (!method.startsWith('unix:') && target === undefined) {
    throw new UsageError(`unsupported syslog method '${method}'`);
  }
  const socket =
    target === undefined ? new DatagramSocket(method.slice(5), 0) : new DatagramSocket(target.ip, target.port);
  return { prefix: '<%B>', send: (priority, line) => socket.send(`<${withFacility(priority)}>${line}`) };
}

/** Sends to a --syslog-target.  Throws a UsageError if it is none. */
export function syslogTarget(text: string): (datagram: string) => void {
  const target = parseTarget(text);
  if (target === undefined) throw new UsageError(`--syslog-target=${text}: want IP:PORT`);
  const socket = new DatagramSocket(target.ip, target.port);
  return (datagram) => socket.send(datagram);
}
