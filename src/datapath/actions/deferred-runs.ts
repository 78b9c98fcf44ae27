/**
 * Runs of actions that are put off until a packet's own list is done, as they would need more clones of the key than there are: a
 * FIFO, filled and emptied once for each packet received.  actions.ts runs them.  Hot path: all room is there from the beginning.
 * Source: net/openvswitch/actions.c (struct action_fifo).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, newFlowKey } from '../../flow/flow-key.ts';
import type { Packet } from '../../packet/packet.ts';
import type { SlotPool } from '../slot-pool.ts';
import { type ActionProgram, EMPTY_PROGRAM } from './action-program.ts';

const W_RECIRC = FIELD.recircId.word;
/** DEFERRED_ACTION_FIFO_SIZE; one place stays empty. */
const SIZE = 10;

export class DeferredRuns {
  // What each place holds.
  readonly packets: readonly Packet[];
  readonly keys: readonly FlowKey[] = Array.from({ length: SIZE }, newFlowKey);
  readonly programs: ActionProgram[] = Array.from({ length: SIZE }, () => EMPTY_PROGRAM);
  /** Where in the program to begin and end; beginning at -1 means recirculation. */
  readonly from = new Int32Array(SIZE);
  readonly to = new Int32Array(SIZE);
  /** Of the SAMPLE that the run is inside, as int32; 0 outside. */
  readonly probability = new Int32Array(SIZE);
  private head = 0;
  private tail = 0;

  constructor(slots: SlotPool) {
    this.packets = Array.from({ length: SIZE }, () => slots.newPacket());
  }

  /** Puts off `[from, to)` of a program or, if `from` is -1, recirculation with id `to`.  False if there is no place. */
  add(pkt: Packet, key: FlowKey, program: ActionProgram, from: number, to: number, probability: number): boolean {
    if (this.head >= SIZE - 1) return false;
    const i = this.head++;
    pkt.isShared = true;
    this.packets[i]!.cloneFrom(pkt);
    this.keys[i]!.set(key);
    this.programs[i] = program;
    this.from[i] = from;
    this.to[i] = to;
    this.probability[i] = probability;
    if (from < 0) this.keys[i]![W_RECIRC] = to;
    return true;
  }

  /** The place of the next run, which stays as it is until the last of them was asked for; -1 if there are no more. */
  next(): number {
    if (this.tail < this.head) return this.tail++;
    this.head = this.tail = 0;
    return -1;
  }
}
