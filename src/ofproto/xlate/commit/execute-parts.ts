/**
 * What a datapath is to execute for a packet whose actions it cannot all take: executions, one after the other, that together do
 * what the list says.
 *
 * Sets that kernels refuse are made here, in the packet, and each cuts the list: what came before it goes with the packet as it was, what comes
 * after with the packet as it is then.  An execution begins with the packet as userspace has it, and so with everything that the datapath changed
 * in it before; a `ct` is not among that: it happens once, to the packet as it was then, and what it made of the packet is lost to what comes
 * after the cut.  A list inside an action that has such a set becomes executions of its own.
 * Source: lib/dpif.c (dpif_execute_with_help), lib/odp-execute.c.
 */
import { FIELD } from '../../../flow/fields.ts';
import { type FlowKey, getField } from '../../../flow/flow-key.ts';
import { OVS_ACTION_ATTR as A, OVS_CHECK_PKT_LEN_ATTR, OVS_SAMPLE_ATTR } from '../../../odp/action-attrs.ts';
import { OVS_KEY_ATTR as K } from '../../../odp/key/key-table.ts';
import { attrsOf, filterAttrs, type NestAttr, nestAttr, typeOf, u32Of } from '../../udpif/nest.ts';
import type { PushStats } from '../xbridge.ts';
import { isUserspaceSet, setInUserspace } from './set-in-userspace.ts';
import { changesPacket, splitActions } from './split-actions.ts';

/** Actions of an execution that surely fit a message, with a packet of the largest size. */
const MAX_ACTIONS_SIZE = 32_000;

/** Attributes of a key that go along with a packet to be executed; the rest is parsed from the packet. */
const METADATA = [K.PRIORITY, K.TUNNEL, K.SKB_MARK, K.IN_PORT, K.PACKET_TYPE];
/** Of a packet that has been recirculated, or hashed; of one that connection tracking knows. */
const RECIRCULATED = [K.RECIRC_ID, K.DP_HASH];
const TRACKED = [...[K.CT_STATE, K.CT_ZONE, K.CT_MARK, K.CT_LABELS], ...[K.CT_ORIG_TUPLE_IPV4, K.CT_ORIG_TUPLE_IPV6]];
const PLAIN_SET: ReadonlySet<number> = new Set(METADATA);
const RECIRCULATED_SET: ReadonlySet<number> = new Set([...METADATA, ...RECIRCULATED]);
const TRACKED_SET: ReadonlySet<number> = new Set([...METADATA, ...RECIRCULATED, ...TRACKED]);

/** Of the key nest of a packet whose flow is `flow`, a copy of what the packet does not say itself. */
export function metadataNest(key: Uint8Array, flow: FlowKey): Uint8Array {
  const isRecirculated = getField(flow, FIELD.recircId) !== 0 || getField(flow, FIELD.dpHash) !== 0;
  const attrs = getField(flow, FIELD.ctState) !== 0 ? TRACKED_SET : isRecirculated ? RECIRCULATED_SET : PLAIN_SET;
  // Without an Ethernet header nothing else tells what the packet begins with.
  const isBare = getField(flow, FIELD.packetType) !== 0;
  return filterAttrs(key, isBare ? new Set([...attrs, K.ETHERTYPE]) : attrs);
}

/** What one packet of `size` bytes credits. */
export const onePacket = (size: number, tcpFlags: number, usedMs: number): PushStats => ({
  tcpFlags,
  nPackets: 1n,
  nBytes: BigInt(size),
  usedMs,
});

export interface ExecutePart {
  readonly packet: Uint8Array;
  readonly actions: Uint8Array;
}

/** Whether `actions` may have to be cut.  `needsHelp`: there may be some that kernels refuse. */
export const needsParts = (actions: Uint8Array, needsHelp: boolean): boolean =>
  needsHelp || actions.length > MAX_ACTIONS_SIZE;

/** The executions of `actions` on `packet`, an Ethernet frame, `maxSize` bytes of actions at most each; `needsHelp` as above. */
export function executeParts(
  packet: Uint8Array,
  actions: Uint8Array,
  needsHelp: boolean,
  maxSize = MAX_ACTIONS_SIZE,
): ExecutePart[] {
  if (!needsHelp && actions.length <= maxSize) return [{ packet, actions }];
  const parts = needsHelp && hasUserspaceSet(actions) ? helped(packet, actions) : [{ packet, actions }];
  return parts.flatMap((p) => splitActions(p.actions, maxSize).map((part) => ({ packet: p.packet, actions: part })));
}

/** The lists inside `action` which the packet as a whole may go through, each in its attribute. */
function listsOf(action: NestAttr): NestAttr[] {
  switch (action.type) {
    case A.CLONE:
      return [action];
    case A.SAMPLE:
      return [...attrsOf(action.payload)].filter((a) => a.type === OVS_SAMPLE_ATTR.ACTIONS);
    case A.CHECK_PKT_LEN:
      return [...attrsOf(action.payload)].filter((a) => a.type !== OVS_CHECK_PKT_LEN_ATTR.PKT_LEN);
    default:
      return [];
  }
}

function hasUserspaceSet(actions: Uint8Array): boolean {
  for (const a of attrsOf(actions)) {
    if (isUserspaceSet(a) || listsOf(a).some((list) => hasUserspaceSet(list.payload))) return true;
  }
  return false;
}

function helped(packet: Uint8Array, actions: Uint8Array): ExecutePart[] {
  const parts: ExecutePart[] = [];
  new Execution(packet, (list) => list, parts).run(actions);
  return parts;
}

class Execution {
  private packet: Uint8Array;
  /** What the datapath did to the packet in the executions before. */
  private readonly preparation: Uint8Array[] = [];
  /** Puts before a list what leads to it, and the list into the condition that it is under. */
  private readonly wrap: (list: Uint8Array) => Uint8Array;
  private readonly parts: ExecutePart[];
  private pending: Uint8Array[] = [];

  constructor(packet: Uint8Array, wrap: (list: Uint8Array) => Uint8Array, parts: ExecutePart[]) {
    this.packet = packet;
    this.wrap = wrap;
    this.parts = parts;
  }

  run(actions: Uint8Array): void {
    for (const a of attrsOf(actions)) {
      const lists = listsOf(a).filter((list) => hasUserspaceSet(list.payload));
      if (isUserspaceSet(a)) {
        this.flush();
        this.packet = setInUserspace(this.packet, a);
      } else if (lists.length > 0) {
        this.flush();
        this.runLists(a);
      } else this.pending.push(a.whole);
    }
    this.flush();
  }

  private runLists(a: NestAttr): void {
    if (a.type === A.SAMPLE && Math.random() * 0xffffffff >= probabilityOf(a)) return;
    for (const list of listsOf(a)) {
      const wrap = (inner: Uint8Array): Uint8Array => {
        const last = a.type === A.CHECK_PKT_LEN ? onlyIf(a, list.type, inner) : inner;
        return this.wrap(Buffer.concat([...this.preparation, last]));
      };
      new Execution(this.packet, wrap, this.parts).run(list.payload);
    }
  }

  private flush(): void {
    const list = this.pending;
    this.pending = [];
    if (list.length === 0) return;
    const changes = list.filter((action) => changesPacket(action) && typeOf(action) !== A.CT);
    // What only changes the packet is no use but to what comes after.
    if (changes.length < list.length) {
      this.parts.push({ packet: this.packet, actions: this.wrap(Buffer.concat([...this.preparation, ...list])) });
    }
    this.preparation.push(...changes);
  }
}

function probabilityOf(sample: NestAttr): number {
  for (const a of attrsOf(sample.payload)) if (a.type === OVS_SAMPLE_ATTR.PROBABILITY) return u32Of(a.payload);
  return 0;
}

/** check_pkt_len `a` with `list` on its side `branch`, and nothing on the other. */
function onlyIf(a: NestAttr, branch: number, list: Uint8Array): Uint8Array {
  const C = OVS_CHECK_PKT_LEN_ATTR;
  const length = [...attrsOf(a.payload)].filter((attr) => attr.type === C.PKT_LEN).map((attr) => attr.whole);
  const sides = [C.ACTIONS_IF_GREATER, C.ACTIONS_IF_LESS_EQUAL];
  const none = new Uint8Array(0);
  return nestAttr(A.CHECK_PKT_LEN, ...length, ...sides.map((side) => nestAttr(side, side === branch ? list : none)));
}
