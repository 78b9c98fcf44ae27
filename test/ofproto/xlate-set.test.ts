import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField, newFlow, setField } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-ctx.ts';
import { MF } from '../../src/openflow/fields/mf-fields.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';
import { MAC_A, MAC_B, tag, udp } from './fakes.ts';
import { bareBridge, barePort } from './support/bare-bridge.ts';
import { catchAll, newRule, output } from './support/rules.ts';

/** Translates a UDP packet of port 1 through tables of one rule each; ports n have datapath port n + 1. */
function translate(tables: readonly (readonly Ofpact[])[], packet = udp(2, MAC_A, MAC_B)) {
  const rules = tables.map((actions) => newRule({ priority: 0, match: catchAll(), actions }));
  const ports = [1, 2, 3].map((n) => barePort(n, { odpPort: n + 1 }));
  const none = newRule({ priority: 0, match: catchAll(), actions: [] });
  const bridge = bareBridge(ports, (table) => rules[table] ?? none);
  const flow = newFlow();
  flow.set(packet);
  const out = xlateActions({ bridge, flow, ofpInPort: 1, hasSideEffects: false, stats: undefined, cache: undefined });
  return { text: formatOdpActions(out.actions), error: out.error, wc: out.wc };
}
const reg = (n: number, ofs = 0, bits = 32) => ({ field: MF[`reg${n}`] as never, ofs, bits });
const load = (name: string, value: Uint8Array, mask = value.map(() => 0xff)): Ofpact => ({
  kind: 'set_field',
  field: MF[name] as never,
  value,
  mask,
  isLoad: false,
});
const mac = Uint8Array.from([2, 0, 0, 0, 0, 9]);

describe('actions that change the packet', () => {
  // biome-ignore format: table
  it.each<[string, Ofpact[], string]>([
    ['an address',             [{ kind: 'mod_dl_dst', mac }, output(2)], 'set(eth(dst=02:00:00:00:00:09)),3'],
    ['only for what follows',  [output(2), { kind: 'mod_nw_ttl', value: 9 }, output(3)], '3,set(ipv4(ttl=9)),4'],
    ['nothing if nothing follows', [output(2), { kind: 'mod_nw_ttl', value: 9 }], '3'],
    ['a tag',                  [{ kind: 'push_vlan', ethType: 0x8100 }, { kind: 'set_vlan_vid', vid: 7, pushIfNone: false, flowHasVlan: true }, output(2)], 'push_vlan(vid=7,pcp=0),3'],
    ['no tag where there is none', [{ kind: 'set_vlan_vid', vid: 7, pushIfNone: false, flowHasVlan: false }, output(2)], '3'],
    ['ports of the protocol',  [load('udp_dst', Uint8Array.of(0, 80)), load('tcp_src', Uint8Array.of(0, 80)), output(2)], 'set(udp(dst=80)),3'],
    ['the mark',               [load('pkt_mark', Uint8Array.of(0, 0, 0, 5), Uint8Array.of(0, 0, 0, 0xff)), output(2)], 'set(skb_mark(0x5/0xff)),3'],
    ['what a register has',    [load('reg1', Uint8Array.of(0, 0, 0, 5)), { kind: 'move', src: reg(1), dst: { field: MF['pkt_mark'] as never, ofs: 0, bits: 32 } }, output(2)], 'set(skb_mark(0x5)),3'],
    ['the action set, at the end', [{ kind: 'write_actions', actions: [output(2)] }, { kind: 'goto_table', table: 1 }], '4,3'],
    ['no action set once cleared', [{ kind: 'write_actions', actions: [output(2)] }, { kind: 'clear_actions' }], 'drop'],
    ['nothing after exit',     [output(2), { kind: 'exit' }, output(3)], '3'],
  ])('set %s', (_name, actions, text) => expect(translate([actions, [output(3)]])).toMatchObject({ text, error: XLATE_ERROR.OK }));

  it('match the bits that they write', () => {
    const { wc } = translate([[load('pkt_mark', Uint8Array.of(0, 0, 0, 5), Uint8Array.of(0, 0, 0, 0xff)), output(2)]]);
    expect(getField(wc, FIELD.skbMark)).toBe(0xff);
  });

  it('stop where the TTL runs out', () => {
    const ttl: Ofpact = { kind: 'dec_ttl', controllerIds: [], hasIds: false };
    const packet = udp(2, MAC_A, MAC_B);
    for (const [value, text] of [
      [64, 'set(ipv4(ttl=63)),3'],
      [1, 'drop'],
    ] as const) {
      setField(packet, FIELD.nwTtl, value);
      expect(translate([[ttl, output(2)]], packet).text).toBe(text);
    }
  });

  it('pop tags', () => {
    expect(translate([[{ kind: 'strip_vlan', isPop: false }, output(2)]], udp(2, MAC_A, MAC_B, tag(5))).text).toBe(
      'pop_vlan,3',
    );
  });
});
