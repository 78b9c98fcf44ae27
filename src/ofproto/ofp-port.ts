/**
 * OpenFlow port numbers and configuration bits as this switch uses them inside: the 16-bit numbers of OpenFlow 1.0.
 * `ofproto.ts` hands numbers out through a PortNumbers; translation looks at the configuration.
 * Source: include/openflow/openflow-common.h, OpenFlow 1.0.2 5.2.1.
 */
import { monotonicMs } from '../util/clock.ts';

/** Reserved port numbers. */
// biome-ignore format: table
export const OFPP = {
  /** One past the highest number that a port can have. */
  MAX:        0xff00,
  UNSET:      0xfff7, // action set without output
  IN_PORT:    0xfff8, // back where it came from
  TABLE:      0xfff9, // through the flow tables again
  NORMAL:     0xfffa, // as a learning switch does
  FLOOD:      0xfffb, // all ports that do not say "no-flood", but the input port
  ALL:        0xfffc, // all ports but the input port
  CONTROLLER: 0xfffd,
  LOCAL:      0xfffe, // the bridge's own
  NONE:       0xffff,
} as const;

/** OFPPC_*: what an administrator says of a port. */
// biome-ignore format: table
export const OFPPC = {
  PORT_DOWN:    1 << 0,
  NO_STP:       1 << 1,
  NO_RECV:      1 << 2, // drop what comes in, but 802.1D
  NO_RECV_STP:  1 << 3, // drop 802.1D that comes in
  NO_FLOOD:     1 << 4, // leave out when flooding
  NO_FWD:       1 << 5, // send nothing out
  NO_PACKET_IN: 1 << 6, // a table miss sends nothing to a controller
} as const;

const RESERVED_NAMES = new Map<number, string>(
  Object.entries(OFPP)
    .filter(([name]) => name !== 'MAX')
    .map(([name, n]) => [n, name]),
);

/** "LOCAL" for 65534, "3" for 3. */
export const ofpPortName = (ofport: number): string => RESERVED_NAMES.get(ofport) ?? String(ofport);

/** Whether a port may be asked for by number `n` (Interface.ofport_request). */
export const isRequestable = (n: number): boolean => Number.isInteger(n) && n >= 1 && n < OFPP.MAX;

/** Numbers that the switch chooses by itself stay below this: the rest is for those who ask. */
const AUTO_LIMIT = 0x8000;
/** A number is not given to another port before it was free for so long: flows may still mean the old port. */
const QUARANTINE_MS = 60 * 60 * 1000;

/** Gives OpenFlow numbers to ports: the one asked for, the one that a port of that name had before, or the lowest free. */
export class PortNumbers {
  /** Number -> when it became free; Infinity while in use. */
  private readonly usage = new Map<number, number>();
  private readonly lastOf = new Map<string, number>();

  /** Takes a number for port `name`; undefined if all are in use. */
  take(name: string, requested: number | undefined): number | undefined {
    const n = this.choose(name, requested);
    if (n === undefined) return undefined;
    this.usage.set(n, Number.POSITIVE_INFINITY);
    this.lastOf.set(name, n);
    return n;
  }

  release(n: number): void {
    this.usage.set(n, monotonicMs());
  }

  private isUsed(n: number): boolean {
    return this.usage.get(n) === Number.POSITIVE_INFINITY;
  }

  private choose(name: string, requested: number | undefined): number | undefined {
    if (requested !== undefined && isRequestable(requested) && !this.isUsed(requested)) return requested;
    const last = this.lastOf.get(name);
    if (last !== undefined && !this.isUsed(last)) return last;
    const now = monotonicMs();
    let oldest: number | undefined;
    let oldestAt = Number.POSITIVE_INFINITY;
    for (let n = 1; n < AUTO_LIMIT; n++) {
      const freed = this.usage.get(n);
      if (freed === undefined || freed < now - QUARANTINE_MS) return n;
      if (freed < oldestAt) {
        oldest = n;
        oldestAt = freed;
      }
    }
    return oldest;
  }
}
