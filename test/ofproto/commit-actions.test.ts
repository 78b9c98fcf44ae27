import { describe, expect, it } from 'vitest';
import { FIELD, type FieldName } from '../../src/flow/fields.ts';
import { type FlowKey, getField, newFlow, setField, setFieldOnes } from '../../src/flow/flow-key.ts';
import { OdpActionsBuilder } from '../../src/odp/odp-actions.ts';
import { SLOW_PATH } from '../../src/odp/slow-path.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { popMpls, pushMpls } from '../../src/ofproto/xlate/actions/flow-mpls.ts';
import { commitActions, commitTunnel, noPendingHeader } from '../../src/ofproto/xlate/commit/commit-actions.ts';
import { keyOf } from './fakes.ts';

type Values = Parameters<typeof keyOf>[0];
const IP = {
  ethType: 0x0800,
  nwProto: 17,
  nwSrc: 0x0a000001,
  nwDst: 0x0a000002,
  nwTtl: 64,
  tpSrc: 1,
  tpDst: 2,
} as const;
const MPLS = { ethType: 0x8847, mplsLse0: 0x00064140 } as const;
const wide = (values: Values): FlowKey => {
  const flow = newFlow();
  flow.set(keyOf(values));
  return flow;
};

/** Text of what makes `to` of `from`, and the reasons to be slow; `masked`: bits that are matched. */
function commit(from: Values, to: Values, masked: FlowKey = exact(to), pending = noPendingHeader()) {
  const out = new OdpActionsBuilder();
  const base = wide(from);
  const slow = commitActions(wide(to), base, masked, out, pending);
  return { text: formatOdpActions(out.finish()), slow, base };
}
function exact(values: Values): FlowKey {
  const mask = newFlow();
  for (const name of Object.keys(values)) setFieldOnes(mask, FIELD[name as FieldName]);
  return mask;
}

describe('commit', () => {
  // Texts as ofproto/trace of Open vSwitch 3.1 prints them.
  // biome-ignore format: table
  it.each<[string, Values, Values, string]>([
    ['nothing',      IP, IP, 'drop'],
    ['one address',  { ethSrc: '02:00:00:00:00:01', ethDst: '02:00:00:00:00:02' }, { ethSrc: '02:00:00:00:00:01', ethDst: '02:00:00:00:00:03' }, 'set(eth(dst=02:00:00:00:00:03))'],
    ['IPv4',         IP, { ...IP, nwDst: 0x0a000003, nwTtl: 63 }, 'set(ipv4(dst=10.0.0.3,ttl=63))'],
    ['both ports',   IP, { ...IP, tpSrc: 5, tpDst: 6 }, 'set(udp(src=5,dst=6))'],
    ['one port',     IP, { ...IP, tpDst: 6 }, 'set(udp(dst=6))'],
    ['priority',     IP, { ...IP, skbPriority: 0x10001 }, 'set(skb_priority(0x10001))'],
    ['mark',         IP, { ...IP, skbMark: 5 }, 'set(skb_mark(0x5))'],
    ['a tag',        IP, { ...IP, vlanTpid: 0x8100, vlanTci: 0x1005 }, 'push_vlan(vid=5,pcp=0)'],
    ['another tag',  { ...IP, vlanTpid: 0x8100, vlanTci: 0x1005 }, { ...IP, vlanTpid: 0x8100, vlanTci: 0x1006 }, 'pop_vlan,push_vlan(vid=6,pcp=0)'],
    ['a label',      MPLS, { ...MPLS, mplsLse0: 0x00065140 }, 'set(mpls(label=101,tc=0,ttl=64,bos=1))'],
    ['NSH',          { ethType: 0x894f, nshMdtype: 1, nshNp: 3, nshTtl: 63 }, { ethType: 0x894f, nshMdtype: 1, nshNp: 3, nshTtl: 62 }, 'set(nsh(ttl=62))'],
  ])('sets %s', (_name, from, to, text) => {
    const { text: got, slow, base } = commit(from, to);
    expect([got, slow]).toEqual([text, 0]);
    expect(base).toEqual(wide(to));
  });

  it('matches a protocol 0 that is why nothing is set, but no protocol of a header that went under another', () => {
    const proto = (from: Values, to: Values): number => {
      const mask = newFlow();
      commit(from, to, mask);
      return getField(mask, FIELD.nwProto);
    };
    expect(proto({ ...IP, nwProto: 0 }, { ...IP, nwProto: 0, nwTtl: 63 })).toBe(0xff);
    expect(proto(IP, { ...MPLS })).toBe(0);
  });

  it('sets only the bits that are matched', () => {
    const mask = newFlow();
    setField(mask, FIELD.skbMark, 0xff);
    expect(commit(IP, { ...IP, skbMark: 5 }, mask).text).toBe('set(skb_mark(0x5/0xff))');
  });

  it('sets nothing of IP where there is no protocol, for such packets alone', () => {
    const none = { ...IP, nwProto: 0 };
    const mask = newFlow();
    expect(commit(none, none, mask).text).toBe('drop');
    expect(getField(mask, FIELD.nwProto)).toBe(0);
    expect(commit(none, { ...none, nwTtl: 63 }, mask).text).toBe('drop');
    expect(getField(mask, FIELD.nwProto)).toBe(0xff);
  });

  it('leaves to userspace what the datapath cannot set', () => {
    const arp = { ethType: 0x0806, nwProto: 1, nwSrc: 1, nwDst: 2 };
    expect(commit(arp, { ...arp, nwSrc: 3 })).toMatchObject({ text: 'set(arp(sip=0.0.0.3))', slow: SLOW_PATH.ACTION });
    const icmp = { ethType: 0x0800, nwProto: 1, tpSrc: 8, tpDst: 0 };
    expect(commit(icmp, { ...icmp, tpSrc: 0 })).toMatchObject({
      text: 'set(icmp(type=0,code=0))',
      slow: SLOW_PATH.ACTION,
    });
  });

  it('pushes and pops labels', () => {
    const flow = wide(IP);
    const base = wide(IP);
    const out = new OdpActionsBuilder();
    pushMpls(flow, 0, 0x8847, undefined, true);
    pushMpls(flow, 1, 0x8847, undefined, true);
    commitActions(flow, base, newFlow(), out, noPendingHeader());
    expect(formatOdpActions(out.finish())).toBe(
      'push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),push_mpls(label=0,tc=0,ttl=64,bos=0,eth_type=0x8847)',
    );
    out.reset();
    expect(popMpls(flow, 2, 0x8847)).toBe(true);
    expect(popMpls(flow, 1, 0x0800)).toBe(true);
    commitActions(flow, base, newFlow(), out, noPendingHeader());
    expect(formatOdpActions(out.finish())).toBe('pop_mpls(eth_type=0x8847),pop_mpls(eth_type=0x800)');
  });

  it('pushes headers that wait, once', () => {
    const bare = { ...IP, packetType: 0x0800 };
    const eth = { ...IP, ethSrc: '02:00:00:00:00:01', ethDst: '02:00:00:00:00:02' };
    const pending = { ...noPendingHeader(), encap: true };
    expect(commit(bare, eth, newFlow(), pending).text).toBe('push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)');
    expect(pending.encap).toBe(false);
    expect(commit(eth, bare, newFlow()).text).toBe('pop_eth');
    const nsh = { packetType: 0x894f, ethType: 0x894f, nshMdtype: 1, nshNp: 3, nshTtl: 63, nshPathHdr: 255 };
    expect(commit(nsh, IP, newFlow(), { ...noPendingHeader(), decap: true }).text).toBe('pop_nsh()');
    expect(commit(IP, nsh, newFlow(), { ...noPendingHeader(), encap: true }).text).toMatch(
      /^push_nsh\(flags=0,ttl=63,mdtype=1,np=3,spi=0x0,si=255,/,
    );
  });

  it('sets a tunnel once', () => {
    const flow = wide({ tunPresent: 4, tunDst: 0x0a000009, tunTtl: 64, tunFlags: 1 });
    const base = newFlow();
    const out = new OdpActionsBuilder();
    commitTunnel(flow, base, out);
    commitTunnel(flow, base, out);
    expect(formatOdpActions(out.finish())).toBe('set(tunnel(tun_id=0x0,dst=10.0.0.9,ttl=64,flags(key)))');
  });
});
