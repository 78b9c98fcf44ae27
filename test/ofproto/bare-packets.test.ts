/** Packets that begin with their network header, as controllers send them. */
import { expect, test } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { odpKeyFromFlow } from '../../src/odp/key/odp-key-build.ts';
import { readAttrs } from '../../src/odp/text/odp-attr-list.ts';
import { KERNEL_DP_SUPPORT } from '../../src/ofproto/backer/dp-support.ts';
import { metadataNest } from '../../src/ofproto/xlate/commit/execute-parts.ts';
import { clearAbsent } from '../../src/ofproto/xlate/packet-fields.ts';
import { flowOfPacket } from '../../src/ofproto/xlate/packet-flow.ts';
import { formatFlow } from '../../src/openflow/match/flow-format.ts';

const IPV4 = Uint8Array.from(Buffer.from('4500002012344000ff1155670a0000140a00001e006400c8000cea78ffffffff', 'hex'));

test('their type is metadata; the datapath is told the ethertype', () => {
  const metadata = newFlow();
  setField(metadata, FIELD.packetType, 0x0800);
  setField(metadata, FIELD.inPort, 5);
  const flow = flowOfPacket(IPV4, metadata);
  expect(formatFlow(flow)).toBe(
    'packet_type=(1,0x800),in_port=5,nw_src=10.0.0.20,nw_dst=10.0.0.30,nw_proto=17,nw_tos=0,nw_ecn=0,nw_ttl=255,nw_frag=no,tp_src=100,tp_dst=200',
  );
  const attrs = readAttrs(metadataNest(odpKeyFromFlow(flow, KERNEL_DP_SUPPORT), flow)).attrs.map((a) => a.type);
  expect([attrs.includes(K.ETHERTYPE), attrs.includes(K.ETHERNET), attrs.includes(K.IPV4)]).toEqual([
    true,
    false,
    false,
  ]);
  const frame = flowOfPacket(Uint8Array.of(...new Array(12).fill(2), 8, 0, ...IPV4), newFlow());
  const types = readAttrs(metadataNest(odpKeyFromFlow(frame, KERNEL_DP_SUPPORT), frame)).attrs.map((a) => a.type);
  expect(types.includes(K.ETHERTYPE)).toBe(false);
});

test('their megaflows match the ethertype, and no addresses', () => {
  const metadata = newFlow();
  setField(metadata, FIELD.packetType, 0x0800);
  const flow = flowOfPacket(IPV4, metadata);
  const wc = newFlow();
  for (const field of [FIELD.ethType, FIELD.ethSrc, FIELD.nwProto]) setFieldOnes(wc, field);
  clearAbsent(wc, flow);
  expect([getField(wc, FIELD.ethType), getField(wc, FIELD.nwProto)]).toEqual([0xffff, 0xff]);
  expect(wc[FIELD.ethSrc.word]).toBe(0);
});

test('a flow of a packet type alone has no fields of what it begins with', () => {
  const flow = newFlow();
  setField(flow, FIELD.packetType, 0x894f);
  expect(formatFlow(flow)).toBe('packet_type=(1,0x894f)');
});
