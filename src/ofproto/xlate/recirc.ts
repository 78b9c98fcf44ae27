/**
 * Recirculation ids, and what each stands for: the state of a translation that stopped half-way, to go on when the datapath has parsed the
 * packet again, has sent it through connection tracking, or when a controller says so.
 *
 * The same state has the same id as long as anyone holds it, so that flows translated alike are alike.  Ids are held by the flows of a
 * datapath that recirculate to them, and by those of packets that were recirculated (`ukey.ts`); one that nobody holds stays known for a
 * moment, as packets with it may be under way.
 * Source: ofproto/ofproto-dpif-rid.c.
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, setField } from '../../flow/flow-key.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { monotonicMs } from '../../util/clock.ts';
import type { XBridge } from './xbridge.ts';

/** Ids go from 1 to this one. */
export const MAX_RECIRC_ID = 2 ** 28 - 1;
/** How long an id that nobody holds stays known. */
const LINGER_MS = 500;

export interface FrozenState {
  /** Where translation goes on. */
  readonly bridge: XBridge;
  /** Where it goes on if no actions are left. */
  readonly table: number;
  /** Words of the flow from tunId on: tunnel, registers, metadata; made by `freezeMetadata`. */
  readonly metadata: Int32Array;
  /** OpenFlow port that the packet has as its input. */
  readonly inPort: number;
  /** The lowest first. */
  readonly stack: readonly Uint8Array[];
  /** Whether the packet has been through connection tracking: else its ct fields do not count. */
  readonly conntracked: boolean;
  readonly wasMpls: boolean;
  /** MirrorMask: where it has been sent. */
  readonly mirrors: number;
  readonly ofpacts: readonly Ofpact[];
  readonly actionSet: readonly Ofpact[];
  /** Of the controller action, for its packet-in. */
  readonly userdata: Uint8Array;
}

const FROM = FIELD.tunId.word;
const ACTSET_OUTPUT = FIELD.actsetOutput.word - FROM;
const CONJ_ID = FIELD.conjId.word - FROM;

/** What of a flow belongs to a frozen state. */
export function freezeMetadata(flow: FlowKey): Int32Array {
  const words = flow.slice(FROM);
  // The action set tells the one; the other is a look-up's.
  words[ACTSET_OUTPUT] = words[CONJ_ID] = 0;
  return words;
}

/** Gives `flow` the metadata and input port of a frozen state. */
export function thawMetadata(state: FrozenState, flow: FlowKey): void {
  flow.set(state.metadata, FROM);
  setField(flow, FIELD.actsetOutput, OFPP.UNSET);
  setField(flow, FIELD.inPort, state.inPort);
}

/** Has connection tracking know nothing of the packet. */
export function clearConntrack(flow: FlowKey): void {
  flow.fill(0, FIELD.ctState.word, FIELD.mplsLse0.word);
}

const actionTexts = new WeakMap<Ofpact, string>();

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`;
  // A match field is what its name says.
  if (typeof value === 'object' && value !== null && 'prereq' in value && 'name' in value) return value.name;
  return value;
}

/** The same for the same action; an action of a rule is the same object each time. */
function actionText(a: Ofpact): string {
  let text = actionTexts.get(a);
  if (text === undefined) {
    text = JSON.stringify(a, plain);
    actionTexts.set(a, text);
  }
  return text;
}

/** Whether both lists do the same. */
export const isSameActions = (a: readonly Ofpact[], b: readonly Ofpact[]): boolean =>
  a.length === b.length && a.every((action, i) => actionText(action) === actionText(b[i] as Ofpact));

const latin1 = (b: Uint8Array): string => Buffer.from(b.buffer, b.byteOffset, b.byteLength).toString('latin1');

/** Equal for equal states, and for no others. */
function stateText(s: FrozenState): string {
  const words = latin1(new Uint8Array(s.metadata.buffer, s.metadata.byteOffset, s.metadata.byteLength));
  return JSON.stringify([
    latin1(s.bridge.uuid),
    s.table,
    s.inPort,
    s.conntracked,
    s.wasMpls,
    s.mirrors,
    words,
    s.stack.map(latin1),
    s.ofpacts.map(actionText),
    s.actionSet.map(actionText),
    latin1(s.userdata),
  ]);
}

interface Node {
  readonly id: number;
  readonly state: FrozenState;
  readonly text: string;
  refs: number;
  diedMs: number;
}

export class RecircIds {
  private readonly byId = new Map<number, Node>();
  private readonly byText = new Map<string, Node>();
  /** In the order in which they died. */
  private dying: Node[] = [];
  private next: number;
  private readonly max: number;

  constructor(max = MAX_RECIRC_ID) {
    this.max = max;
    this.next = 1;
  }

  /** Ids that are known. */
  get size(): number {
    return this.byId.size;
  }

  /** An id for `state`, held once more; 0 if all ids are taken. */
  take(state: FrozenState): number {
    this.run();
    const text = stateText(state);
    const known = this.byText.get(text);
    if (known !== undefined) {
      known.refs++;
      return known.id;
    }
    if (this.byId.size >= this.max) return 0;
    while (this.byId.has(this.next)) this.next = this.next >= this.max ? 1 : this.next + 1;
    const node: Node = { id: this.next, state, text, refs: 1, diedMs: 0 };
    this.next = this.next >= this.max ? 1 : this.next + 1;
    this.byId.set(node.id, node);
    this.byText.set(text, node);
    return node.id;
  }

  /** Holds `id` once more; false if nobody does: it will soon be forgotten. */
  hold(id: number): boolean {
    const node = this.byId.get(id);
    if (node === undefined || node.refs === 0) return false;
    node.refs++;
    return true;
  }

  /** What `id` stands for; undefined if it is not, or no longer, known. */
  find(id: number): FrozenState | undefined {
    return this.byId.get(id)?.state;
  }

  /** Lets go of what `take` gave, or `hold` held, once each. */
  release(ids: readonly number[]): void {
    for (const id of ids) {
      const node = this.byId.get(id);
      if (node === undefined || node.refs === 0) throw new Error(`recirculation id ${id} is not held`);
      if (--node.refs > 0) continue;
      this.byText.delete(node.text);
      node.diedMs = monotonicMs();
      this.dying.push(node);
    }
  }

  /** Forgets ids that nobody has held for a while. */
  run(): void {
    const now = monotonicMs();
    let n = 0;
    while (n < this.dying.length && (this.dying[n] as Node).diedMs + LINGER_MS <= now) {
      this.byId.delete((this.dying[n] as Node).id);
      n++;
    }
    if (n > 0) this.dying = this.dying.slice(n);
  }
}

/** Those of this process: as its datapaths may share ports' packets, so they do ids. */
export const recircIds = new RecircIds();
