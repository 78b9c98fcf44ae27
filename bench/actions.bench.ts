/** Cost of a packet from a port to a port: everything but the device.  Also shows that nothing is allocated. */
import { Datapath } from '../src/datapath/datapath.ts';
import type { DeviceStats, PortBackend, PortEvents } from '../src/datapath/ports/port-backend.ts';
import { FIELD } from '../src/flow/fields.ts';
import { extractHeaders } from '../src/flow/flow-extract.ts';
import { newFlowKey, setField, setFieldOnes } from '../src/flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from '../src/odp/key/key-table.ts';
import type { Packet } from '../src/packet/packet.ts';
import { be32, clone, output, popVlan, pushVlan, recirc, set, setMasked } from '../test/support/action-bytes.ts';
import { compileList } from '../test/support/compile.ts';
import { eth, ipv4With } from '../test/support/frames.ts';
import { newArena, packetOf } from '../test/support/packets.ts';
import { measure } from './measure.ts';

/** Takes everything, does nothing. */
class NullPort implements PortBackend {
  readonly name = 'null';
  readonly ifindex = 1;
  readonly mtu = 1500;
  readonly takesOffloads = true;
  events!: PortEvents;
  sent = 0;
  start(events: PortEvents): void {
    this.events = events;
  }
  send(pkt: Packet): void {
    pkt.writeVnetHdr();
    this.sent++;
  }
  flush(): void {}
  stats(): DeviceStats {
    throw new Error('not counted');
  }
  close(): void {}
}

const FRAME = eth(0x0800, ipv4With(17, { payload: Array<number>(18).fill(0) }));
const BATCH = 64;
// biome-ignore format: table
const CASES: [string, number[][]][] = [
  ['output', [output(2)]],
  ['no action', []],
  ['output twice', [output(2), output(2)]],
  ['push_vlan, output', [pushVlan(0x8100, 0x1005), output(2)]],
  ['push_vlan, pop_vlan, output', [pushVlan(0x8100, 0x1005), popVlan(), output(2)]],
  ['set eth and ipv4, output', [set(K.ETHERNET, [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8]), setMasked(K.IPV4, [10, 9, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0], [255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]), output(2)]],
  ['set udp, output', [setMasked(K.UDP, be32(7), be32(0xffff)), output(2)]],
  ['clone(set udp, output), output', [clone(setMasked(K.UDP, be32(7), be32(0xffff)), output(2)), output(2)]],
  ['recirc, output', [recirc(1)]],
];

for (const [name, list] of CASES) {
  const arena = newArena(256);
  const dp = new Datapath({
    name: 'dp',
    arena,
    clock: () => performance.now() | 0,
    upcallSink: { upcall: () => 0, queue: () => 0, flush: () => {} },
  });
  const [a, b] = [new NullPort(), new NullPort()];
  dp.addVport({ portNo: 1, type: 1, name: 'a', backend: a });
  dp.addVport({ portNo: 2, type: 1, name: 'b', backend: b });
  const pkt = packetOf(arena, FRAME);
  const key = newFlowKey();
  extractHeaders(pkt, key);
  setField(key, FIELD.inPort, 1);
  // What a megaflow of a learning switch matches.
  const mask = newFlowKey();
  for (const f of ['recircId', 'inPort', 'packetType', 'ethSrc', 'ethDst', 'ethType', 'vlanTci', 'nwFrag'] as const) {
    setFieldOnes(mask, FIELD[f]);
  }
  dp.table.insert({ key, mask, program: compileList(list.flat(), key) });
  setField(key, FIELD.recircId, 1);
  dp.table.insert({ key, mask, program: compileList(output(2), key) });
  const { start, end, slot } = pkt;
  measure(`port to port: ${name}`, 640_000, (n) => {
    for (let i = 0; i < n; i += BATCH) {
      for (let j = 0; j < BATCH; j++) {
        pkt.slot = slot;
        pkt.start = start;
        pkt.end = end;
        a.events.receive(pkt);
      }
      a.events.batchEnd();
    }
  });
  if (list.length > 0 && b.sent === 0) throw new Error(`${name}: nothing was sent`);
}
