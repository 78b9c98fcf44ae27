/**
 * Messages as text: what stock ovs-ofctl 3.1 printed of the same bytes, recorded; and again, if it is installed.  The tests of messages
 * (`../messages/`) compare every message that they show to it, too.
 */

import { describe, expect, test } from 'vitest';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import { parseGroupMod } from '../../../src/openflow/group-text.ts';
import { encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { UNKNOWN32, UNKNOWN64 } from '../../../src/openflow/messages/flow/flow-types.ts';
import { METER_COMMAND, parseMeterMod } from '../../../src/openflow/meter-text.ts';
import { OFPERR, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { NameMap } from '../../../src/openflow/ofp-names.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import { formatMessage } from '../../../src/openflow/print/ofp-print.ts';
import { fc } from '../../support/property.ts';
import { fromHex, hasOfctl, stockPrint } from '../messages/oracle.ts';

const bytesOf = (m: OfMessageOut): Uint8Array => encodeMessage(m);
const flowMod = (version: OfVersion, text: string): Uint8Array =>
  bytesOf({ kind: 'flow_mod', version, xid: 2, body: parseFlow(text, 0).flow });
const tcp = fromHex(`505400000006 505400000005 0800
  4500 0028 bd12 0000 40 06 3c6a c0a80001 c0a80002  272f 0000 7850cc5b 57af421e 5010 0200 26e8 0000`);

// biome-ignore format: table
const ROWS: readonly (readonly [name: string, bytes: Uint8Array, text: string])[] = [
  ['hello', fromHex('0600001000000001 0001000800000072'), 'OFPT_HELLO (OF1.5) (xid=0x1):\n version bitmap: 0x01, 0x04, 0x05, 0x06\n'],
  ['hello with more in it', fromHex('0100000c00000001 ffff0003'), `OFPT_HELLO (xid=0x1):
 version bitmap: 0x01
 unknown data in hello:
00000000  01 00 00 0c 00 00 00 01-ff ff 00 03             |............    |
`],
  ['a version that nobody knows', fromHex('2100000800000001'),
    `OFPT_HELLO (OF 0x21) (xid=0x1):\n version bitmap: ${Array.from({ length: 31 }, (_, i) => `0x${(i + 1).toString(16).padStart(2, '0')}`).join(', ')}\n`],
  ['echo', fromHex('0402000b00000003 414200'),
    'OFPT_ECHO_REQUEST (OF1.3) (xid=0x3): 3 bytes of payload\n00000000  41 42 00                                        |AB.             |\n'],
  ['barrier', fromHex('0414000800000001'), 'OFPT_BARRIER_REQUEST (OF1.3) (xid=0x1):\n'],
  ['an error and its message', bytesOf({ kind: 'error', version: 4, xid: 2, body: { err: OFPERR.OFPBRC_BAD_TYPE, data: fromHex('0414000800000001') } }),
    'OFPT_ERROR (OF1.3) (xid=0x2): OFPBRC_BAD_TYPE\nOFPT_BARRIER_REQUEST (OF1.3) (xid=0x1):\n'],
  ['an error and a text', bytesOf({ kind: 'error', version: 1, xid: 2, body: { err: OFPERR.OFPHFC_INCOMPATIBLE, data: fromHex('4e6f220a') } }),
    'OFPT_ERROR (xid=0x2): OFPHFC_INCOMPATIBLE\nNo\\042\\012\n'],
  ['an error with part of a message', bytesOf({ kind: 'error', version: 4, xid: 2, body: { err: OFPERR.OFPBRC_BAD_LEN, data: fromHex('040e00500000000200') } }),
    'OFPT_ERROR (OF1.3) (xid=0x2): OFPBRC_BAD_LEN\nOFPT_FLOW_MOD (OF1.3) (xid=0x2):\n(***truncated to 9 bytes from 80***)\n00000000  04 0e 00 50 00 00 00 02-00                      |...P.....       |\n'],
  ['flow_mod of 1.0', flowMod(1, 'in_port=1,tcp,tp_dst=80,priority=5,idle_timeout=9,actions=output:2'),
    'OFPT_FLOW_MOD (xid=0x2): ADD priority=5,tcp,in_port=1,tp_dst=80 idle:9 actions=output:2\n'],
  ['flow_mod of 1.3', flowMod(4, 'table=3,cookie=0x7,reg0=1,send_flow_rem,actions=set_field:5->reg1,goto_table:4'),
    'OFPT_FLOW_MOD (OF1.3) (xid=0x2): ADD table:3 reg0=0x1 cookie:0x7 send_flow_rem actions=set_field:0x5->reg1,goto_table:4\n'],
  ['packet_in', bytesOf({ kind: 'packet_in', version: 4, xid: 0, body: {
    packet: tcp, totalLen: 54, bufferId: UNKNOWN32, flowMetadata: parseFlow('in_port=3,actions=', 0).flow.match, reason: 1, tableId: 2,
    cookie: 0xfn, userdata: new Uint8Array(), continuation: undefined,
  } }), `OFPT_PACKET_IN (OF1.3) (xid=0x0): table_id=2 cookie=0xf total_len=54 in_port=3 (via action) data_len=54 (unbuffered)
tcp,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:06,nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=10031,tp_dst=0,tcp_flags=ack tcp_csum:26e8
`],
  ['packet_out', bytesOf({ kind: 'packet_out', version: 4, xid: 1, body: {
    packet: tcp.subarray(0, 14), bufferId: UNKNOWN32, flowMetadata: parseFlow('in_port=CONTROLLER,actions=', 0).flow.match,
    ofpacts: parseFlow('actions=FLOOD', 0).flow.ofpacts,
  } }), `OFPT_PACKET_OUT (OF1.3) (xid=0x1): in_port=CONTROLLER actions=FLOOD data_len=14
ip,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:06,nw_src=0.0.0.0,nw_dst=0.0.0.0,nw_proto=0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no
`],
  ['group_mod', bytesOf({ kind: 'group_mod', version: 6, xid: 2, body: parseGroupMod(
    'group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst=255.0.0.0),bucket=bucket_id:0,weight:5,actions=output:1,bucket=watch_port:2,bucket_id:1,actions=drop', 0).groupMod }),
    'OFPT_GROUP_MOD (OF1.5) (xid=0x2):\n ADD group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst=255.0.0.0),bucket=bucket_id:0,weight:5,actions=output:1,bucket=bucket_id:1,watch_port:2,actions=drop\n'],
  ['meter_mod', bytesOf({ kind: 'meter_mod', version: 4, xid: 2, body: parseMeterMod(
    'meter=3,pktps,burst,stats,bands=type=drop rate=100 burst_size=5,type=dscp_remark,rate=9,burst_size=6,prec_level=1', METER_COMMAND.ADD).meterMod }),
    'OFPT_METER_MOD (OF1.3) (xid=0x2): ADD meter=3 pktps burst stats bands=\ntype=drop rate=100 burst_size=5\ntype=dscp_remark rate=9 burst_size=6 prec_level=1\n'],
  ['port statistics', bytesOf({ kind: 'port_stats_reply', version: 4, xid: 2, body: [{
    portNo: OFPP.LOCAL, counters: { rxPackets: 1n, txBytes: 60n }, custom: [], durationSec: 3, durationNsec: 250_000_000 }] }),
    'OFPST_PORT reply (OF1.3) (xid=0x2): 1 ports\n  port LOCAL: rx pkts=1, bytes=?, drop=?, errs=?, frame=?, over=?, crc=?\n           tx pkts=?, bytes=60, drop=?, errs=?, coll=?\n           duration=3.250s\n'],
  ['table statistics', bytesOf({ kind: 'table_stats_reply', version: 4, xid: 2, body: [0, 1, 2, 3].map((tableId) => (
    { tableId, activeCount: tableId === 0 ? 1 : 0, lookupCount: 0n, matchedCount: 0n, features: undefined })) }),
    'OFPST_TABLE reply (OF1.3) (xid=0x2):\n  table 0:\n    active=1, lookup=0, matched=0\n\n  table 1:\n    active=0, lookup=0, matched=0\n\n  tables 2...3: ditto\n'],
  ['flow statistics, with more to come', bytesOf({ kind: 'flow_stats_reply', version: 4, xid: 2, more: true, body: [{
    match: parseFlow('in_port=1,actions=', 0).flow.match, cookie: 0n, tableId: 0, priority: 7, idleTimeout: 0, hardTimeout: 0,
    durationSec: 1, durationNsec: 0, idleAge: -1, hardAge: -1, packetCount: 4n, byteCount: UNKNOWN64, flags: 0, importance: 0, ofpacts: [] }] }),
    'OFPST_FLOW reply (OF1.3) (xid=0x2): flags=[more]\n cookie=0x0, duration=1s, table=0, n_packets=4, n_bytes=0, priority=7,in_port=1 actions=drop\n'],
  ['no such message', fromHex('0463000800000001'), '***decode error: OFPBRC_BAD_TYPE***\n00000000  04 63 00 08 00 00 00 01-                        |.c......        |\n'],
  ['a wrong body', fromHex('0407000900000001 00'), '***decode error: OFPBRC_BAD_LEN***\n00000000  04 07 00 09 00 00 00 01-00                      |.........       |\n'],
  ['less than a header', fromHex('040700'), 'OpenFlow packet too short (only 3 bytes):\n00000000  04 07 00                                        |...             |\n'],
  ['more than a message', fromHex('041400080000000100'), '(***only uses 8 bytes out of 9***)\n00000000  04 14 00 08 00 00 00 01-00                      |.........       |\n'],
];

describe('printed messages', () => {
  test.each(ROWS)('%s', (_, bytes, text) => {
    expect(formatMessage(bytes, { verbosity: 2 })).toBe(text);
  });

  test.skipIf(!hasOfctl).each(ROWS)('%s, as stock prints it', (_, bytes, text) => {
    expect(stockPrint(bytes).startsWith(text)).toBe(true);
  });

  test('a list that is wrong in its middle is printed up to there', () => {
    const whole = bytesOf({
      kind: 'meter_config_stats_reply',
      version: 4,
      xid: 2,
      body: [1, 2].map((meterId) => ({ meterId, flags: 1, bands: [] })),
    });
    whole[25] = 1; // The second says that it has one byte.
    const text = formatMessage(whole);
    expect(text).toContain(
      'OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\nmeter=1 kbps bands=\n***decode error: OFPBRC_BAD_LEN***\n00000000',
    );
    if (hasOfctl) stockPrint(whole);
  });

  test('verbosity', () => {
    const echo = fromHex('0402000a00000003 4142');
    expect(formatMessage(echo)).toBe('OFPT_ECHO_REQUEST (OF1.3) (xid=0x3): 2 bytes of payload\n');
    expect(formatMessage(echo, { verbosity: 5 })).toMatch(/\n0{8} {2}04 02 00 0a .*\n$/);
  });

  test('names of ports and tables', () => {
    const [ports, tables] = [new NameMap(), new NameMap()];
    ports.set(1, 'p1');
    tables.set(3, 'third');
    const text = formatMessage(flowMod(4, 'table=3,in_port=1,actions=1'), { names: { ports, tables } });
    expect(text).toContain('ADD table:third in_port=p1 actions=output:p1');
  });

  test('any bytes can be printed', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.integer({ min: 0, max: 6 }),
        fc.boolean(),
        (b, version, isSized) => {
          const bytes = Uint8Array.from(b);
          if (isSized && bytes.length >= 8) {
            bytes[0] = version;
            new DataView(bytes.buffer).setUint16(2, bytes.length);
          }
          expect(formatMessage(bytes, { verbosity: 5 })).toMatch(/\n$/);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
