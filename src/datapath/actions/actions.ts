/**
 * Runs programs on packets.  Hot path: one loop, one switch, nothing allocated.
 *
 * The bytes of a packet are read by others once it was queued for output or cloned (`isShared`); an action that changes
 * them first moves the packet to a slot of its own.  What runs before the end of a list on a clone (sample, clone,
 * check_pkt_len, recirc) describes the same bytes with another Packet.
 *
 * Limits are the kernel's: five levels of execution (recirculation is one), three of cloned keys, and, beyond those,
 * nine deferred runs for each packet received.
 *
 * compile-actions.ts has checked opcodes, arguments and nesting, and that the flow has the headers that are set; whether
 * the packet has them whole is checked where they are written.
 * Source: net/openvswitch/actions.c.
 */
import { FIELD } from '../../flow/fields.ts';
import { extractHeaders } from '../../flow/flow-extract.ts';
import { hashAdd, hashFinish, hashFlow } from '../../flow/flow-hash.ts';
import { type FlowKey, newFlowKey } from '../../flow/flow-key.ts';
import { hashFlowFields } from '../../flow/hash-fields.ts';
import { OVS_ACTION_ATTR as A, OVS_HASH_ALG } from '../../odp/action-attrs.ts';
import { hasVlan, sizeWithoutVlan, VLAN_HLEN } from '../../packet/ethernet.ts';
import type { Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import type { CtArgs } from '../conntrack/ct-args.ts';
import { CT_STOLEN } from '../conntrack/ct-execute.ts';
import { DROP, type DropReason } from '../drop-reasons.ts';
import { Segmenter } from '../ports/segment.ts';
import type { SlotPool } from '../slot-pool.ts';
import { type ActionProgram, SET_OP } from './action-program.ts';
import { changeError, changePacket, noteEthernet, pushRoom } from './change-packet.ts';
import { DeferredRuns } from './deferred-runs.ts';
import { popNsh } from './nsh.ts';
import { decTtl, TTL } from './push-pop.ts';
import { setMark, setPriority } from './set-field.ts';

const W_RECIRC = FIELD.recircId.word;
const W_DP_HASH = FIELD.dpHash.word;

/** OVS_RECURSION_LIMIT, and what follows from it. */
const MAX_LEVEL = 5;
const KEY_CLONES = MAX_LEVEL - 2;
/** A probability of 1. */
const ALWAYS = 0xffffffff;

/** What actions need of the datapath. */
export interface ActionHost {
  /** Sends `pkt`, cut as `pkt.cutLen` says, on a port.  Its bytes may stay in use: it marks the packet shared. */
  output(pkt: Packet, portNo: number): void;
  /** An upcall for a USERSPACE action, whose arguments are at `arg` of the program. */
  userspace(pkt: Packet, key: FlowKey, program: ActionProgram, arg: number): void;
  /** Looks up the flow of a recirculated packet and runs its actions; an upcall if there is none. */
  process(pkt: Packet, key: FlowKey): number;
  /** Sends a copy for a PSAMPLE action, whose arguments are at `arg`; it was chosen with `probability`, of 2^32. */
  psample(pkt: Packet, program: ActionProgram, arg: number, probability: number): void;
  /** Sends a packet through a meter; returns whether it exceeds it.  A meter that is not there lets all pass. */
  meter(pkt: Packet, id: number): boolean;
  /** Runs a CT action: 0, CT_STOLEN or -errno. */
  track(pkt: Packet, key: FlowKey, args: CtArgs): number;
  /** Makes the packet forget its connection. */
  untrack(pkt: Packet, key: FlowKey): void;
  drop(reason: DropReason): void;
  /** In [0, 1). */
  random(): number;
  /** Whether it behaves as the datapath in userspace, where that differs from the kernel's. */
  readonly isUserspace: boolean;
}

export class ActionExecutor {
  private readonly host: ActionHost;
  private readonly slots: SlotPool;
  private level = 0;
  /** Of the SAMPLE that this is inside, as int32; 0 outside. */
  private probability = 0;
  private readonly keys: FlowKey[] = Array.from({ length: KEY_CLONES }, newFlowKey);
  private readonly deferred: DeferredRuns;

  constructor(host: ActionHost, slots: SlotPool) {
    this.host = host;
    this.slots = slots;
    this.deferred = new DeferredRuns(slots);
  }

  /** Runs a whole program.  `pkt` and `key` are used up.  Returns 0 or -errno. */
  execute(pkt: Packet, key: FlowKey, program: ActionProgram): number {
    if (this.level >= MAX_LEVEL) {
      this.host.drop(DROP.RECURSION);
      return -ERRNO.ENETDOWN;
    }
    this.level++;
    const err = this.run(pkt, key, program, 0, program.code.length);
    if (this.level === 1) this.runDeferred();
    this.level--;
    return err;
  }

  private run(pkt: Packet, key: FlowKey, program: ActionProgram, from: number, to: number): number {
    const { code } = program;
    const { host } = this;
    for (let pc = from; pc < to; ) {
      const op = code[pc]!;
      const arg = pc + 2;
      pc = arg + code[pc + 1]!;
      let isGood = true;
      let ownError = 0;

      switch (op) {
        case A.OUTPUT:
          host.output(pkt, code[arg]!);
          pkt.cutLen = 0;
          break;
        case A.TRUNC:
          pkt.cutLen = code[arg]!;
          break;
        case A.USERSPACE:
          host.userspace(pkt, key, program, arg);
          pkt.cutLen = 0;
          break;
        case A.HASH:
          if (pkt.hash === 0) pkt.hash = hashFlow(key);
          key[W_DP_HASH] =
            code[arg + 1] === OVS_HASH_ALG.SYM_L4
              ? // Of the userspace datapath only, which is not in a hurry.
                hashFlowFields(key, 'symmetric_l3l4', code[arg]!)
              : hashFinish(hashAdd(pkt.hash, code[arg]!)) || 1;
          break;
        case A.RECIRC: {
          if (pkt.isKeyStale && !extractHeaders(pkt, key)) {
            host.drop(DROP.BAD_PACKET);
            return -ERRNO.EINVAL;
          }
          const err = this.cloneRun(pkt, key, program, -1, code[arg]!, pc >= to, true);
          if (pc >= to) return err;
          break;
        }
        case A.SAMPLE: {
          if (!this.isSampled(code[arg]!)) {
            if (pc >= to) host.drop(DROP.LAST_ACTION);
            break;
          }
          const outer = this.probability;
          this.probability = code[arg]!;
          const err = this.cloneRun(pkt, key, program, arg + 2, pc, pc >= to, code[arg + 1] === 0);
          this.probability = outer;
          if (pc >= to) return err;
          ownError = err;
          isGood = err === 0;
          break;
        }
        case A.PSAMPLE:
          host.psample(pkt, program, arg, this.probability >>> 0 || ALWAYS);
          pkt.cutLen = 0;
          break;
        case SET_OP.END:
          host.drop(DROP.LAST_ACTION);
          return 0;
        case A.CLONE: {
          const err = this.cloneRun(pkt, key, program, arg + 1, pc, pc >= to, code[arg] === 0);
          if (pc >= to) return err;
          ownError = err;
          isGood = err === 0;
          break;
        }
        case A.CHECK_PKT_LEN: {
          const err = this.checkPktLen(pkt, key, program, arg, pc, pc >= to);
          if (pc >= to) return err;
          ownError = err;
          isGood = err === 0;
          break;
        }
        case A.CT: {
          const err = this.track(pkt, key, program.cts![code[arg]!]!);
          if (err !== 0) return err === CT_STOLEN ? 0 : err;
          break;
        }
        case A.CT_CLEAR:
          host.untrack(pkt, key);
          break;
        case A.DEC_TTL:
          if (!this.makeWritable(pkt, 0)) return -ERRNO.ENOMEM;
          switch (decTtl(pkt, key)) {
            case TTL.EXPIRED:
              // The rest is not for this packet any more.
              if (code[arg] !== SET_OP.END) return this.cloneRun(pkt, key, program, arg, pc, true, false);
              host.drop(DROP.TTL);
              return 0;
            case TTL.BAD:
              isGood = false;
          }
          break;
        case A.METER:
          if (!host.meter(pkt, code[arg]!)) break;
          host.drop(DROP.METER);
          return 0;
        case A.DROP:
          host.drop(code[arg] === 0 ? DROP.EXPLICIT : DROP.EXPLICIT_ERROR);
          return 0;
        case SET_OP.TUNNEL:
          pkt.txTunnel = program.tunnels![code[arg]!]!;
          // The source port of what is sent comes from it.
          if (pkt.hash === 0) pkt.hash = hashFlow(key);
          break;
        case SET_OP.PRIORITY:
          setPriority(pkt, key, code, arg);
          break;
        case SET_OP.SKB_MARK:
          setMark(pkt, key, code, arg);
          break;
        case A.POP_NSH:
          if (!this.makeWritable(pkt, 0)) return -ERRNO.ENOMEM;
          ownError = popNsh(pkt);
          isGood = ownError === 0 && noteEthernet(pkt, key);
          break;
        default:
          // All others change bytes.
          if (!this.makeWritable(pkt, pushRoom(op, code[arg - 1]!))) return -ERRNO.ENOMEM;
          // In userspace a packet that has not got the whole header keeps what it has.
          isGood = changePacket(pkt, key, code, op, arg) || (host.isUserspace && op < 0 && op !== SET_OP.CT);
      }
      if (!isGood) {
        host.drop(DROP.ACTION_ERROR);
        return ownError || changeError(op, pkt);
      }
    }
    return 0;
  }

  /**
   * Runs `[from, to)` of a program, or, if `from` is -1, recirculates with id `to`, on the packet as it is.  Unless this
   * `isLast`, the packet and its key are not changed by that; but an error (the result: 0 or -errno) ends the outer list too.
   * What becomes of a packet that recirculates is no error here.  `clonesKey`: the run may change the key.
   */
  private cloneRun(
    pkt: Packet,
    key: FlowKey,
    program: ActionProgram,
    from: number,
    to: number,
    isLast: boolean,
    clonesKey: boolean,
  ): number {
    let runKey = key;
    if (clonesKey) {
      if (this.level > KEY_CLONES) {
        if (!this.deferred.add(pkt, key, program, from, to, this.probability)) this.host.drop(DROP.DEFERRED);
        return 0;
      }
      runKey = this.keys[this.level - 1]!;
      runKey.set(key);
    }
    let runPkt = pkt;
    if (!isLast) {
      pkt.isShared = true;
      runPkt = this.slots.pushPacket();
      runPkt.cloneFrom(pkt);
    }
    let err = 0;
    if (from < 0) {
      runKey[W_RECIRC] = to;
      this.host.process(runPkt, runKey);
    } else {
      if (clonesKey) this.level++;
      err = this.run(runPkt, runKey, program, from, to);
      if (clonesKey) this.level--;
    }
    if (!isLast) this.slots.popPacket();
    return err;
  }

  private runDeferred(): void {
    const { deferred } = this;
    for (let i = deferred.next(); i >= 0; i = deferred.next()) {
      const pkt = deferred.packets[i]!;
      const key = deferred.keys[i]!;
      this.probability = deferred.probability[i]!;
      if (deferred.from[i]! < 0) this.host.process(pkt, key);
      else this.run(pkt, key, deferred.programs[i]!, deferred.from[i]!, deferred.to[i]!);
      pkt.slot = -1;
    }
    this.probability = 0;
  }

  /** `probability`: a fraction of 2^32 as int32; -1 is always. */
  private isSampled(probability: number): boolean {
    if (probability === -1) return true;
    return probability !== 0 && Math.floor(this.host.random() * 0x100000000) <= probability >>> 0;
  }

  private track(pkt: Packet, key: FlowKey, args: CtArgs): number {
    if (pkt.isKeyStale && !extractHeaders(pkt, key)) {
      this.host.drop(DROP.BAD_PACKET);
      return -ERRNO.EINVAL;
    }
    const err = this.host.track(pkt, key, args);
    if (err < 0) this.host.drop(DROP.CONNTRACK);
    return err;
  }

  /** A super-packet is as large as its largest segment. */
  private checkPktLen(
    pkt: Packet,
    key: FlowKey,
    program: ActionProgram,
    arg: number,
    end: number,
    isLast: boolean,
  ): number {
    const { code } = program;
    const max = code[arg]!;
    const tag = hasVlan(pkt) ? VLAN_HLEN : 0;
    let size = sizeWithoutVlan(pkt);
    if (pkt.mru !== 0) size = pkt.mru + pkt.l3 - tag;
    const middle = arg + 4 + code[arg + 3]!;
    const isLessEqual = size <= max || (pkt.gsoType !== 0 && isWithin(Segmenter.largest(pkt) - tag, max));
    return isLessEqual
      ? this.cloneRun(pkt, key, program, arg + 4, middle, isLast, code[arg + 1] === 0)
      : this.cloneRun(pkt, key, program, middle, end, isLast, code[arg + 2] === 0);
  }

  /** Gives the packet bytes of its own, with `room` bytes before them.  False if there is no memory: it is dropped. */
  private makeWritable(pkt: Packet, room: number): boolean {
    if (!pkt.isShared && this.slots.hasRoom(pkt, room)) return true;
    if (this.slots.moveToOwnSlot(pkt) && this.slots.makeRoom(pkt, room)) return true;
    this.host.drop(DROP.NO_MEMORY);
    return false;
  }
}

const isWithin = (size: number, max: number): boolean => size > 0 && size <= max;
