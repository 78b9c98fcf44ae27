/** The TLV table, flushing of tracked connections, IPFIX: there and back, errors, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { again, bodyAgain } from './again.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 3;

describe.each(VERSIONS)('version %i', (version) => {
  test('TLV table', () => {
    const mappings = [
      { optionClass: 0xffff, optionType: 0, optionLen: 4, index: 0 },
      { optionClass: 0x102, optionType: 0x81, optionLen: 124, index: 63 },
    ];
    const bytes = roundTrip({ kind: 'nxt_tlv_table_mod', version, xid, body: { command: 0, mappings } });
    const table = ' 0xffff     0       4  tun_metadata0\n  0x102  0x81     124  tun_metadata63';
    if (hasOfctl) expect(stockPrint(bytes)).toContain(`\n ADD mapping table:`);
    if (hasOfctl) expect(stockPrint(bytes)).toContain(table);
    roundTrip({ kind: 'nxt_tlv_table_mod', version, xid, body: { command: 2, mappings: [] } });
    const body = { maxOptionSpace: 256, maxFields: 64, mappings };
    const reply = roundTrip({ kind: 'nxt_tlv_table_reply', version, xid, body });
    if (hasOfctl) {
      expect(stockPrint(reply)).toContain('max option space=256 max fields=64');
      expect(stockPrint(reply)).toContain(table);
    }
    roundTrip({ kind: 'nxt_tlv_table_request', version, xid, body: undefined });
  });

  test('flushing connections', () => {
    const none = {
      srcPort: undefined,
      dstPort: undefined,
      icmpId: undefined,
      icmpType: undefined,
      icmpCode: undefined,
    };
    const orig = { ...none, src: fromHex('0a0a0001'), dst: fromHex('0a0a0002'), srcPort: 80, dstPort: 8080 };
    const bytes = roundTrip({ kind: 'ct_flush', version, xid, body: { zone: 13, ipProto: 6, orig, reply: undefined } });
    if (hasOfctl) {
      expect(stockPrint(bytes)).toContain(
        "zone=13 'ct_nw_src=10.10.0.1,ct_nw_dst=10.10.0.2,ct_tp_src=80,ct_tp_dst=8080,ct_nw_proto=6'",
      );
    }
    const v6 = { ...none, src: fromHex('20010db8000000000000000000000001'), dst: undefined };
    const echo = { ...v6, icmpId: 7, icmpType: 128, icmpCode: 0 };
    const reply = { ...echo, src: undefined, dst: v6.src, icmpType: 129 };
    const icmp = roundTrip({
      kind: 'ct_flush',
      version,
      xid,
      body: { zone: undefined, ipProto: 58, orig: echo, reply },
    });
    if (hasOfctl) {
      expect(stockPrint(icmp)).toContain(
        "zone=0 'ct_ipv6_src=2001:db8::1,ct_ipv6_dst=::,icmp_id=7,icmp_type=128,icmp_code=0,ct_nw_proto=58' 'ct_ipv6_src=::,ct_ipv6_dst=2001:db8::1,icmp_id=7,icmp_type=129,icmp_code=0'",
      );
    }
    const all = { zone: undefined, ipProto: 0, orig: undefined, reply: undefined };
    roundTrip({ kind: 'ct_flush', version, xid, body: all });
  });

  test('IPFIX', () => {
    const stats = {
      collectorSetId: 1,
      totalFlows: 1n,
      currentFlows: 16n,
      pkts: 120n,
      ipv4Pkts: 240n,
      ipv6Pkts: 0n,
      errorPkts: 160n,
      ipv4ErrorPkts: 2n,
      ipv6ErrorPkts: 3n,
      txPkts: 4n,
      txErrors: 5n,
    };
    const bridge = roundTrip({ kind: 'ipfix_bridge_stats_reply', version, xid, body: stats });
    const line = 'flows=1, current flows=16, sampled pkts=120, ipv4 ok=240, ipv6 ok=0, tx pkts=4';
    if (hasOfctl) expect(stockPrint(bridge)).toContain(`bridge ipfix: ${line}`);
    const list = [stats, { ...stats, collectorSetId: 2 }];
    const flows = roundTrip({ kind: 'ipfix_flow_stats_reply', version, xid, body: list });
    if (hasOfctl) expect(stockPrint(flows)).toContain(`id   2: ${line}`);
    if (hasOfctl) expect(stockPrint(flows)).toContain('pkts errs=160, ipv4 errs=2, ipv6 errs=3, tx errs=5');
    for (const kind of ['ipfix_bridge_stats_request', 'ipfix_flow_stats_request'] as const) {
      const request = roundTrip({ kind, version, xid, body: undefined });
      if (hasOfctl) expect(stockPrint(request)).toMatch(/NXST_IPFIX_(BRIDGE|FLOW) request/);
    }
  });
});

const TLV = (rest: string): string => `01040020 00000003 00002320 00000018 ${rest}`;
const CT = (size: string, rest: string): string => `0104${size} 00000003 00002320 00000020 ${rest}`;
const V4 = '0014 00000000000000000000ffff0a0a0001 00000000';
const V6 = '0014 20010db8000000000000000000000001 00000000';

test('messages of others', () => {
  const { orig } = bodyAgain(
    'ct_flush',
    CT(
      '0068',
      `06 00000000000000 0002 0008 000d0000 0000 0048 00000000 0000 ${V4} 0001 ${V4} 0002 0008 00500000 0003 0008 1f900000`,
    ),
  );
  expect(orig).toMatchObject({ srcPort: 80, dstPort: 8080 });
  // A tuple of zeros is none; parts and properties that are not known are ignored.
  const zeros = bodyAgain('ct_flush', CT('0028', '06 00000000000000 0000 0010 00000000 0002 0006 00000000'));
  expect(zeros).toEqual({ zone: undefined, ipProto: 6, orig: undefined, reply: undefined });
  again(CT('0028', '06 00000000000000 0001 0010 00000000 0009 0008 00000000'));
  again(CT('0020', '06 00000000000000 0009 0008 00000000'));
});

test.each([
  [TLV('0003 000000000000 ffff 00 04 0000 0000'), 'NXTTMFC_BAD_COMMAND'],
  [TLV('0000 000000000000 ffff 00 05 0000 0000'), 'NXTTMFC_BAD_OPT_LEN'],
  [TLV('0000 000000000000 ffff 00 80 0000 0000'), 'NXTTMFC_BAD_OPT_LEN'],
  [TLV('0000 000000000000 ffff 00 04 0040 0000'), 'NXTTMFC_BAD_FIELD_IDX'],
  [
    '01040028 00000003 00002320 0000001a 00000100 0010 00000000000000000000 ffff 00 04 0010 0000',
    'NXTTMFC_BAD_FIELD_IDX',
  ],
  [CT('0018', '06 00000000000001'), 'NXBRC_MUST_BE_ZERO'],
  [CT('0020', '06 00000000000000 0002 0005 000d0000'), 'OFPBPC_BAD_LEN'],
  [CT('0020', '06 00000000000000 0000 0004 00000000'), 'OFPBPC_BAD_LEN'],
  [CT('0020', '06 00000000000000 0000 0010 00000000'), 'OFPBPC_BAD_LEN'],
  [CT('0028', '06 00000000000000 0000 0010 00000000 0000 0008 00000000'), 'OFPBPC_BAD_LEN'],
  [CT('0028', '01 00000000000000 0000 0010 00000000 0005 0004 00000000'), 'OFPBPC_BAD_LEN'],
  [CT('0050', `06 00000000000000 0000 0038 00000000 0000 ${V4} 0001 ${V6}`), 'OFPBPC_BAD_VALUE'],
])('%s is %s', (hex, want) => {
  expect(decodeError(fromHex(hex))).toBe(want);
  if (hasOfctl) expect(stockPrint(fromHex(hex))).toContain(want);
});
