/** A datapath with memory ports, virtual time and a sink that remembers upcalls. */

import { Conntrack } from '../../src/datapath/conntrack/conntrack.ts';
import { Datapath } from '../../src/datapath/datapath.ts';
import type { Flow } from '../../src/datapath/flow-table/flow.ts';
import { MemoryPort, type MemoryPortOptions, type Offloads } from '../../src/datapath/ports/port-memory.ts';
import type { UpcallInfo, UpcallOrigin, UpcallSink } from '../../src/datapath/upcall.ts';
import type { Vport } from '../../src/datapath/vport.ts';
import { FIELD, type FieldName, FLOW_WORDS } from '../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../src/flow/flow-extract.ts';
import { type FlowKey, newFlowKey, setFieldOnes } from '../../src/flow/flow-key.ts';
import type { Packet } from '../../src/packet/packet.ts';
import { type CompileTestOptions, compileList } from './compile.ts';
import { newArena, packetOf } from './packets.ts';

export interface SeenUpcall {
  cmd: number;
  portId: number;
  key: FlowKey;
  /** What is sent, and how large the packet was. */
  packet: number[];
  fullSize: number;
  userdata: number[] | undefined;
  actions: number[] | undefined;
  hash: number;
  mru: number;
}

export class Lab implements UpcallSink {
  readonly arena = newArena(160);
  readonly conntrack = new Conntrack();
  readonly dp: Datapath;
  readonly upcalls: SeenUpcall[] = [];
  /** What the sink answers. */
  answer = 0;
  nowMs = 1000;
  /** What random() gives. */
  dice = 0.5;

  constructor(isUserspace = false) {
    this.dp = new Datapath({
      isUserspace,
      name: 'dp0',
      arena: this.arena,
      clock: () => this.nowMs,
      upcallSink: this,
      conntrack: this.conntrack,
      random: () => this.dice,
    });
  }

  upcall(_dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    if (this.answer !== 0) return this.answer;
    const range = (at: number, size: number) => (size < 0 ? undefined : [...info.bytes.subarray(at, at + size)]);
    this.upcalls.push({
      cmd: info.cmd,
      portId: info.portId,
      key: key.slice(),
      packet: [...this.arena.bytes.subarray(pkt.start, pkt.start + info.size)],
      fullSize: pkt.end - pkt.start,
      userdata: range(info.userdataAt, info.userdataSize),
      actions: range(info.actionsAt, info.actionsSize),
      hash: info.hash,
      mru: info.mru,
    });
    return 0;
  }

  queue(dp: UpcallOrigin, key: FlowKey, pkt: Packet, info: UpcallInfo): number {
    return this.upcall(dp, key, pkt, info);
  }
  flush(): void {}

  port(portNo: number, options: Partial<MemoryPortOptions> = {}, upcallPids = [100 + portNo]): MemoryPort {
    const backend = new MemoryPort(this.arena, { name: `p${portNo}`, ifindex: 10 + portNo, ...options });
    this.dp.addVport({ portNo, type: 1, name: backend.name, backend, upcallPids });
    return backend;
  }
  vport(portNo: number): Vport {
    return this.dp.vport(portNo)!;
  }

  /** The key of a frame that comes in at a port. */
  keyOf(frame: readonly number[], inPort: number, recircId = 0): FlowKey {
    const key = newFlowKey();
    const pkt = packetOf(this.arena, frame);
    pkt.inPort = inPort;
    extractMetadata(pkt, key);
    extractHeaders(pkt, key);
    key[FIELD.recircId.word] = recircId;
    this.arena.give(pkt.slot);
    return key;
  }

  /** Installs a flow for packets like `frame` from a port; on `fields` besides port and recirculation id, default all. */
  flow(frame: readonly number[], inPort: number, actions: number[][], options: FlowOptions = {}): Flow {
    const key = this.keyOf(frame, inPort, options.recircId);
    const mask = newFlowKey();
    if (options.fields === undefined) mask.fill(-1, 0, FLOW_WORDS);
    else
      for (const name of ['recircId', 'inPort', 'ethType', 'packetType', ...options.fields] as const)
        setFieldOnes(mask, FIELD[name]);
    const masked = key.map((w, i) => w & mask[i]!);
    return this.dp.table.insert({ key, mask, program: compileList(actions.flat(), masked, options) });
  }
}

export interface FlowOptions extends CompileTestOptions {
  recircId?: number;
  fields?: readonly FieldName[];
}

/** Frames that were sent since the last call, as arrays. */
export function takeSent(port: MemoryPort): number[][] {
  return port.sent.splice(0).map((f) => [...f.bytes]);
}
export type { Offloads };
