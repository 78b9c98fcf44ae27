/** Matches written by a template are those that are written entry by entry. */

import { describe, expect, test } from 'vitest';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import type { Match } from '../../../src/openflow/match/match.ts';
import { putNxMatch } from '../../../src/openflow/match/match-template.ts';
import { encodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { OFPFC } from '../../../src/openflow/messages/flow/flow-types.ts';
import { OfpWriter } from '../../../src/openflow/ofp-writer.ts';
import { fc } from '../../support/property.ts';

const matchOf = (text: string): Match => parseFlow(`${text},actions=drop`, OFPFC.ADD).flow.match;

const n = (max: number) => fc.nat(max);
const mac = fc.array(n(255), { minLength: 6, maxLength: 6 }).map((b) => b.map((x) => x.toString(16)).join(':'));
const ip4 = fc.array(n(255), { minLength: 4, maxLength: 4 }).map((b) => b.join('.'));
const ip6 = fc.array(n(0xffff), { minLength: 8, maxLength: 8 }).map((b) => b.map((x) => x.toString(16)).join(':'));

/** Matches in which $ stands for a value: of each line those that have one mask, or whose entries depend on a value. */
const TEMPLATES: readonly (readonly [text: string, ...values: fc.Arbitrary<string | number>[]])[] = [
  ['in_port=$,dl_src=$,dl_dst=$', n(1000), mac, mac],
  ['dl_type=$', n(0xffff)],
  ['tcp,nw_src=$,nw_dst=$/24,tp_dst=$', ip4, ip4, n(0xffff)],
  ['udp,tp_src=$,nw_ttl=$,nw_tos=$', n(0xffff), n(255), n(63).map((x) => x * 4)],
  ['ip,nw_proto=$,nw_ecn=$', n(255), n(3)],
  ['ip,nw_frag=$', fc.constantFrom('yes', 'no', 'first', 'later', 'not_later')],
  ['icmp,icmp_type=$,icmp_code=$', n(255), n(255)],
  ['icmp6,icmp_type=$,icmp_code=$', fc.constantFrom(135, 136, 1), fc.constantFrom(0, 1)],
  ['icmp6,icmp_type=$,icmp_code=0,nd_target=$,nd_sll=$', fc.constant(135), ip6, mac],
  ['icmp6,icmp_type=$,icmp_code=0,nd_target=$,nd_tll=$', fc.constant(136), ip6, mac],
  ['tcp6,ipv6_src=$,ipv6_dst=$/64,ipv6_label=$', ip6, ip6, n(0xfffff)],
  ['arp,arp_op=$,arp_spa=$,arp_sha=$', n(2), ip4, mac],
  ['dl_vlan=$,dl_vlan_pcp=$', n(4095), n(7)],
  ['vlan_tci=$', n(0xffff)],
  ['vlan_tci=$/0x1fff', n(0xffff)],
  ['mpls,mpls_label=$,mpls_tc=$,mpls_bos=$', n(0xfffff), n(7), n(1)],
  ['tun_id=$,tun_src=$,metadata=$', n(1 << 30), ip4, n(1 << 30)],
  ['reg0=$,reg3=$/0xff,xreg2=$,pkt_mark=$', n(1 << 30), n(255), n(1 << 30), n(1 << 30)],
  ['ct_state=$,ip', fc.constantFrom('+trk', '+trk+est', '-trk', '+trk+new-inv', '+trk-inv')],
  ['ct_state=+trk+est,ip,ct_mark=$,ct_zone=$,ct_nw_src=$,ct_nw_proto=6,ct_tp_dst=$', n(99), n(99), ip4, n(0xffff)],
  ['tcp,tcp_flags=$,tp_dst=$/0xff00', n(0xfff), n(0xffff)],
  ['packet_type=(1,$)', fc.constantFrom('0x894f', '0x800')],
  ['conj_id=$,recirc_id=$,dp_hash=$', n(99), n(99), n(99)],
];

const match = fc
  .constantFrom(...TEMPLATES)
  .chain(([text, ...values]) =>
    fc.tuple(...values).map((vs) => vs.reduce<string>((t, v) => t.replace('$', String(v)), text)),
  );

function put(m: Match, version: number): Uint8Array {
  const out = new OfpWriter();
  out.u32(0x01020304);
  const size = putNxMatch(out, m, version);
  expect(out.size).toBe(4 + size);
  return out.bytes.slice(4, out.size);
}

describe.each([0, 3, 4, 6])('version %d', (version) => {
  test('one after the other, of any kinds', () => {
    fc.assert(
      fc.property(fc.array(match, { maxLength: 20 }), (texts) => {
        for (const text of texts) {
          const m = matchOf(text);
          expect([text, put(m, version)]).toEqual([text, encodeNxMatch(m, version)]);
        }
      }),
    );
  });

  test('what has the same mask, but not the same entries', () => {
    const ports = matchOf('tcp,tp_dst=1');
    const types = matchOf('tcp,tp_dst=1');
    types.flow.set(matchOf('icmp').flow);
    for (const m of [ports, types, ports]) expect(put(m, version)).toEqual(encodeNxMatch(m, version));
    expect(put(ports, version)).not.toEqual(put(types, version));
  });
});
