/** Packets through CT actions without a datapath around: a tracker, an executor, a clock that tests turn. */
import { Conntrack } from '../../../src/datapath/conntrack/conntrack.ts';
import { type CtArgs, parseCt } from '../../../src/datapath/conntrack/ct-args.ts';
import { CS_F } from '../../../src/datapath/conntrack/ct-constants.ts';
import { CtExecutor } from '../../../src/datapath/conntrack/ct-execute.ts';
import { HostStack } from '../../../src/datapath/conntrack/ct-host-stack.ts';
import { FIELD } from '../../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../../src/flow/flow-extract.ts';
import { type FlowKey, getField, newFlowKey } from '../../../src/flow/flow-key.ts';
import { OVS_CT_ATTR, OVS_NAT_ATTR } from '../../../src/odp/action-attrs.ts';
import type { Packet } from '../../../src/packet/packet.ts';
import { attr, u16, u32 } from '../../support/action-bytes.ts';
import { ip4, ip6 } from '../../support/frames.ts';
import { bytesOf, newArena, packetOf } from '../../support/packets.ts';

/** OVS_CT_ATTR lists. */
export const ct = {
  commit: () => attr(OVS_CT_ATTR.COMMIT),
  force: () => attr(OVS_CT_ATTR.FORCE_COMMIT),
  zone: (zone: number) => attr(OVS_CT_ATTR.ZONE, u16(zone)),
  mark: (mark: number, mask = 0xffffffff) => attr(OVS_CT_ATTR.MARK, [...u32(mark), ...u32(mask)]),
  labels: (labels: readonly number[], mask: readonly number[]) => attr(OVS_CT_ATTR.LABELS, [...labels, ...mask]),
  helper: (name: string) => attr(OVS_CT_ATTR.HELPER, [...Buffer.from(`${name}\0`)]),
  timeout: (name: string) => attr(OVS_CT_ATTR.TIMEOUT, [...Buffer.from(`${name}\0`)]),
  nat: (...list: number[][]) => attr(OVS_CT_ATTR.NAT, list.flat()),
  src: () => attr(OVS_NAT_ATTR.SRC),
  dst: () => attr(OVS_NAT_ATTR.DST),
  ip: (min: string, max?: string) => [
    ...attr(OVS_NAT_ATTR.IP_MIN, addr(min)),
    ...(max === undefined ? [] : attr(OVS_NAT_ATTR.IP_MAX, addr(max))),
  ],
  ports: (min: number, max = min) => [
    ...attr(OVS_NAT_ATTR.PROTO_MIN, u16(min)),
    ...attr(OVS_NAT_ATTR.PROTO_MAX, u16(max)),
  ],
  random: () => attr(OVS_NAT_ATTR.PROTO_RANDOM),
  persistent: () => attr(OVS_NAT_ATTR.PERSISTENT),
};
const addr = (text: string): number[] => (text.includes(':') ? ip6(text) : ip4(text));

/** What one CT action made of a frame. */
export interface Result {
  /** What execute() returned. */
  readonly status: number;
  /** ct_state as ovs prints it, e.g. "new|trk". */
  readonly state: string;
  readonly key: FlowKey;
  readonly frame: number[];
  readonly pkt: Packet;
}

const NAMES = Object.entries({ new: CS_F.NEW, est: CS_F.ESTABLISHED, rel: CS_F.RELATED, rpl: CS_F.REPLY_DIR });
const MORE = Object.entries({ inv: CS_F.INVALID, trk: CS_F.TRACKED, snat: CS_F.SRC_NAT, dnat: CS_F.DST_NAT });
export const stateOf = (key: FlowKey): string => {
  const bits = getField(key, FIELD.ctState);
  return [...NAMES, ...MORE].flatMap(([name, bit]) => ((bits & bit) !== 0 ? [name] : [])).join('|');
};

export class CtRig {
  now = 1_000_000;
  readonly conntrack: Conntrack;
  readonly executor: CtExecutor;
  readonly hostStack: HostStack;
  readonly arena = newArena(8);

  constructor(max = 4096, random: () => number = () => 0.5) {
    this.conntrack = new Conntrack({ max, random });
    this.executor = new CtExecutor(this.conntrack, { makeWritable: () => true, now: () => this.now });
    this.hostStack = new HostStack(this.conntrack, () => this.now);
  }
  get tracker() {
    return this.conntrack.tracker;
  }

  /** Runs actions one after the other on the same packet, as lists of attributes. */
  run(frame: readonly number[], ...actions: number[][][]): Result {
    const pkt = packetOf(this.arena, frame);
    const key = newFlowKey();
    extractMetadata(pkt, key);
    if (!extractHeaders(pkt, key)) throw new Error('frame that is none');
    try {
      return this.again(pkt, key, ...actions);
    } finally {
      this.arena.give(pkt.slot);
    }
  }

  /** More actions on a packet that was run before, before there is another one. */
  again(pkt: Packet, key: FlowKey, ...actions: number[][][]): Result {
    let status = 0;
    for (const list of actions) {
      status = this.executor.execute(pkt, key, argsOf(list, key));
      if (status !== 0) break;
    }
    return { status, state: stateOf(key), key, frame: bytesOf(pkt), pkt };
  }

  /** A look-up, the same as `ct(zone=...)`. */
  look(frame: readonly number[], zone = 0): string {
    return this.run(frame, [ct.zone(zone)]).state;
  }
  /** A commit; returns the state found. */
  commit(frame: readonly number[], ...more: number[][]): Result {
    return this.run(frame, [ct.commit(), ...more]);
  }
}

export function argsOf(list: readonly number[][], key: FlowKey): CtArgs {
  const bytes = Uint8Array.from(list.flat());
  return parseCt(new DataView(bytes.buffer), 0, bytes.length, key);
}
