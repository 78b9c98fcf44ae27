/** Translations that stop half-way and go on: what is recirculated to, and what comes of it then. */
import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { type FlowKey, getField, newFlow, setField } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { decodeCookie } from '../../src/odp/user-action-cookie.ts';
import { MacTable } from '../../src/ofproto/mac-learning.ts';
import type { XPort } from '../../src/ofproto/ports/bundle.ts';
import type { Rule } from '../../src/ofproto/tables/rule.ts';
import { type FrozenState, RecircIds, recircIds } from '../../src/ofproto/xlate/recirc.ts';
import type { XBridge } from '../../src/ofproto/xlate/xbridge.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-ctx.ts';
import { MF } from '../../src/openflow/fields/mf-fields.ts';
import type { Ofpact, OfpactCt, OfpactNat } from '../../src/openflow/ofpact.ts';
import { setClock } from '../../src/util/clock.ts';
import { FakeScheduler, MAC_A, MAC_B, udp } from './fakes.ts';

const field = (name: string) => MF[name] as NonNullable<(typeof MF)[string]>;
const output = (port: number): Ofpact => ({ kind: 'output', port, maxLen: 0xffff });
const resubmit = (table: number, withCtOrig = false): Ofpact => ({
  kind: 'resubmit',
  inPort: 0xfff8,
  table,
  withCtOrig,
  compat: 'resubmit_table',
});
const set = (name: string, value: Uint8Array): Ofpact => ({
  kind: 'set_field',
  field: field(name),
  value,
  mask: value.map(() => 0xff),
  isLoad: false,
});
const reg0 = (n: number): Ofpact => set('reg0', Uint8Array.of(0, 0, 0, n));
const ct = (more: Partial<OfpactCt> = {}): Ofpact => ({
  kind: 'ct',
  flags: 0,
  zoneSrc: undefined,
  zoneImm: 0,
  alg: 0,
  recircTable: 255,
  actions: [],
  ...more,
});
const nat = (more: Partial<OfpactNat> = {}): OfpactNat => ({
  kind: 'nat',
  flags: 0,
  addrMin: undefined,
  addrMax: undefined,
  portMin: 0,
  portMax: 0,
  ...more,
});

type Pick = (flow: FlowKey, inPort: number) => readonly Ofpact[];

/** Bridge `n`; ports p have datapath port 10 * n + p. */
function bridge(n: number, tables: readonly (readonly Ofpact[] | Pick)[], peers: (port: number) => XPort | undefined) {
  const ports: XPort[] = [1, 2, 3, 9].map((p) => ({
    name: `p${p}`,
    type: 'system',
    ofport: p,
    odpPort: 10 * n + p,
    config: 0,
    bundle: undefined,
  }));
  const self: XBridge & { other?: XBridge } = {
    name: `br${n}`,
    uuid: new Uint8Array(16).fill(n),
    macs: new MacTable(),
    bundles: [],
    xports: ports,
    xport: (p) => ports.find((q) => q.ofport === p),
    peerOf(port) {
      const there = peers(port.ofport);
      return there === undefined || self.other === undefined ? undefined : { bridge: self.other, port: there };
    },
    lookupRule: (table, flow) => {
      const t = tables[table] ?? [];
      const ofpacts = typeof t === 'function' ? t(flow, getField(flow, FIELD.inPort)) : t;
      return { actions: ofpacts, cookie: BigInt(table), priority: 1, credit: () => {} } as unknown as Rule;
    },
    upcallPid: () => 7,
    learn: () => {},
  };
  return self;
}

/** Translates; `text` has the ids of recirculations as R1, R2 ..., in their order. */
function run(br: XBridge, flow: FlowKey, frozen?: FrozenState, inPort = 1) {
  const key = newFlow();
  key.set(flow);
  if (frozen !== undefined) setField(key, FIELD.recircId, 1);
  const out = xlateActions({
    bridge: br,
    flow: key,
    ofpInPort: inPort,
    frozen,
    hasSideEffects: true,
    stats: undefined,
    cache: undefined,
  });
  let n = 0;
  const text = formatOdpActions(out.actions).replace(/recirc\(0x[0-9a-f]+\)/g, () => `R${++n}`);
  const states = out.recircs.map((id) => recircIds.find(id) as FrozenState);
  recircIds.release(out.recircs);
  return { text, states, error: out.error, actions: out.actions, wc: out.wc };
}
const one = (...tables: (readonly Ofpact[] | Pick)[]) => bridge(1, tables, () => undefined);
const packet = udp(2, MAC_A, MAC_B);

describe('recirculation ids', () => {
  const state = (table: number): FrozenState => ({
    bridge: one([]),
    table,
    metadata: new Int32Array(4),
    inPort: 1,
    stack: [Uint8Array.of(1)],
    conntracked: false,
    wasMpls: false,
    mirrors: 0,
    ofpacts: [output(2), reg0(3)],
    actionSet: [],
    userdata: new Uint8Array(0),
  });

  it('are the same for the same state while it is held', () => {
    const scheduler = new FakeScheduler();
    const ids = new RecircIds();
    const a = ids.take(state(1));
    expect(ids.take(state(1))).toBe(a);
    const b = ids.take(state(2));
    expect(b).not.toBe(a);
    expect(ids.take({ ...state(1), stack: [Uint8Array.of(2)] })).not.toBe(a);
    ids.release([a]);
    expect(ids.find(a)?.table).toBe(1);
    ids.release([a]);
    expect(() => ids.release([a])).toThrow(/not held/);
    // Packets with it may still be under way; a new one is another.
    expect(ids.find(a)?.table).toBe(1);
    expect(ids.take(state(1))).not.toBe(a);
    scheduler.clock.advance(501);
    ids.run();
    expect(ids.find(a)).toBeUndefined();
    expect(ids.find(b)?.table).toBe(2);
    setClock(undefined);
  });

  it('are held once more while they are held, and not when they are about to be forgotten', () => {
    const scheduler = new FakeScheduler();
    const ids = new RecircIds();
    const a = ids.take(state(1));
    expect(ids.hold(a)).toBe(true);
    ids.release([a]);
    scheduler.clock.advance(501);
    expect(ids.take(state(1))).toBe(a);
    ids.release([a, a]);
    expect([ids.hold(a), ids.hold(99)]).toEqual([false, false]);
    setClock(undefined);
  });

  it('run out, and are used again', () => {
    const scheduler = new FakeScheduler();
    const ids = new RecircIds(2);
    expect([ids.take(state(1)), ids.take(state(2)), ids.take(state(3))]).toEqual([1, 2, 0]);
    ids.release([1]);
    scheduler.clock.advance(501);
    expect(ids.take(state(3))).toBe(1);
    setClock(undefined);
  });
});

describe('ct', () => {
  it('forks to a table, and goes on with an untracked packet', () => {
    const tables: Pick[] = [
      () => [reg0(5), ct({ zoneImm: 3, recircTable: 1 }), output(2)],
      (flow) => (getField(flow, FIELD.reg0) === 5 && getField(flow, FIELD.ctState) === 0x22 ? [output(3)] : []),
    ];
    const br = one(...tables);
    const first = run(br, packet);
    expect(first).toMatchObject({ text: 'ct(zone=3),R1,12', error: XLATE_ERROR.OK });
    const tracked = udp(2, MAC_A, MAC_B, { ctState: 0x22 });
    expect(run(br, tracked, first.states[0])).toMatchObject({ text: '13', error: XLATE_ERROR.OK });
    expect(run(br, packet, first.states[0]).text).toBe('drop');
  });

  // biome-ignore format: table
  it.each<[Partial<OfpactCt>, string]>([
    [{ flags: 1 },                                              'ct(commit)'],
    [{ flags: 3, zoneImm: 9, alg: 21 },                         'ct(force_commit,zone=9,helper=ftp)'],
    [{ flags: 1, actions: [set('ct_mark', Uint8Array.of(0, 0, 0, 7))] }, 'ct(commit,mark=0x7/0xffffffff)'],
    [{ actions: [nat()] },                                      'ct(nat)'],
    [{ flags: 1, actions: [nat({ flags: 1, addrMin: Uint8Array.of(10, 0, 0, 1) })] }, 'ct(commit,nat(src=10.0.0.1))'],
    [{ flags: 1, actions: [nat({ flags: 2 + 16, addrMin: Uint8Array.of(10, 0, 0, 1), addrMax: Uint8Array.of(10, 0, 0, 9), portMin: 5, portMax: 8 })] },
      'ct(commit,nat(dst=10.0.0.1-10.0.0.9:5-8,random))'],
  ])('with options %#', (more, text) => expect(run(one([ct(more)]), packet)).toMatchObject({ text, error: XLATE_ERROR.OK }));

  it('sets labels of the connection, and matches no field for that', () => {
    const { text, wc } = run(
      one([ct({ flags: 1, actions: [set('ct_label', new Uint8Array(16).fill(1, 8).fill(2, 15))] })]),
      packet,
    );
    expect(text).toContain('label=0x101010101010102');
    expect(getField(wc, FIELD.ctMark)).toBe(0);
    expect(wc[FIELD.ctLabels.word]).toBe(0);
  });

  it('takes the zone from a field', () => {
    const zoneSrc = { field: field('reg0'), ofs: 0, bits: 16 };
    expect(run(one([reg0(6), ct({ zoneSrc })]), packet).text).toBe('ct(zone=6)');
  });

  it('ct_clear clears what was tracked only', () => {
    const clear: Ofpact = { kind: 'ct_clear' };
    expect(run(one([clear, output(2)]), packet).text).toBe('12');
    expect(run(one([clear, output(2)]), udp(2, MAC_A, MAC_B, { ctState: 0x22 })).text).toBe('ct_clear,12');
  });

  it('resubmit(,,ct) looks up the tuple of the original direction, and matches that', () => {
    const tuple = { ctState: 0x22, ctNwProto: 17, ctNwSrc: 0x01020304, ctNwDst: 5, ctTpSrc: 6, ctTpDst: 7 };
    let seen = 0;
    const br = one([resubmit(1, true), output(2)], (flow) => {
      seen = getField(flow, FIELD.nwSrc);
      return [];
    });
    expect(run(br, udp(2, MAC_A, MAC_B, tuple)).text).toBe('12');
    expect(seen).toBe(0x01020304);
    seen = 0;
    expect(run(br, packet).text).toBe('12');
    expect(seen).toBe(0);
  });
});

describe('freezing', () => {
  it('goes on with what is left of all lists, with their tables', () => {
    // biome-ignore format: names, several on a line
    const br = one(
      [resubmit(1), output(3), { kind: 'write_actions', actions: [output(2)] }],
      [reg0(4), { kind: 'debug_recirc' }, { kind: 'move', src: { field: field('reg0'), ofs: 0, bits: 32 }, dst: { field: field('pkt_mark'), ofs: 0, bits: 32 } }, output(2), resubmit(255)],
    );
    const first = run(br, packet);
    expect(first).toMatchObject({ text: 'R1', error: XLATE_ERROR.OK });
    // biome-ignore format: names, several on a line
    expect(first.states[0]?.ofpacts.map((a) => a.kind)).toEqual([
      'move', 'unroll_xlate', 'output', 'resubmit', 'unroll_xlate', 'output', 'write_actions',
    ]);
    const again = one([], []);
    expect(run(again, packet, { ...(first.states[0] as FrozenState), bridge: again }).text).toBe(
      'set(skb_mark(0x4)),12,13,12',
    );
  });

  it('keeps the action set and the input port', () => {
    const br = one([
      { kind: 'write_actions', actions: [output(3)] },
      set('in_port', Uint8Array.of(0, 2)),
      { kind: 'debug_recirc' },
      output(1),
      output(2),
    ]);
    const { states } = run(br, packet);
    expect(run(br, packet, states[0]).text).toBe('11,13');
  });

  it('fails without a state', () => {
    const lost = udp(2, MAC_A, MAC_B, { recircId: 99 });
    expect(run(one([output(2)]), lost).error).toBe(XLATE_ERROR.NO_RECIRCULATION_CONTEXT);
  });

  it('pauses at a controller', () => {
    const pause: Ofpact = {
      kind: 'controller',
      maxLen: 100,
      controllerId: 3,
      reason: 1,
      pause: true,
      userdata: Uint8Array.of(1, 2),
      meterId: 0,
    };
    const { actions, states, text } = run(one([pause, output(2)]), packet);
    expect(text).toMatch(/^userspace\(pid=7,controller\(reason=1,dont_send=0,continuation=1,.*max_len=100\)\)$/);
    const cookie = decodeCookie(actions.slice(-48));
    expect(cookie).toMatchObject({ controllerId: 3, continuation: true, ruleCookie: 0n });
    expect(states[0]).toMatchObject({ userdata: Uint8Array.of(1, 2), ofpacts: [{ kind: 'unroll_xlate' }, output(2)] });
  });

  it('tells a controller of a TTL that runs out, once for each', () => {
    const ttl: Ofpact = { kind: 'dec_ttl', controllerIds: [1, 2], hasIds: true };
    const { text } = run(one([ttl, output(2)]), udp(2, MAC_A, MAC_B, { nwTtl: 1 }));
    expect(text.match(/reason=2/g)).toHaveLength(2);
    expect(text).not.toContain('12');
  });
});

describe('labels', () => {
  const push: Ofpact = { kind: 'push_mpls', ethType: 0x8847 };
  const mpls = (bos: number) =>
    udp(2, MAC_A, MAC_B, {
      ethType: 0x8847,
      nwProto: 0,
      nwTtl: 0,
      nwSrc: 0,
      nwDst: 0,
      tpSrc: 0,
      tpDst: 0,
      mplsLse0: 0x5040 | bos,
    });

  it('are pushed after what was set', () => {
    const text = run(one([{ kind: 'mod_nw_ttl', value: 9 }, push, output(2)]), packet).text;
    expect(text).toBe('set(ipv4(ttl=9)),push_mpls(label=0,tc=0,ttl=9,bos=1,eth_type=0x8847),12');
  });

  it('are popped: what needs the packet behind them is recirculated', () => {
    const pop: Ofpact = { kind: 'pop_mpls', ethType: 0x0800 };
    expect(run(one([pop, output(2)]), mpls(0x100)).text).toBe('pop_mpls(eth_type=0x800),12');
    const first = run(one([pop, { kind: 'mod_nw_ttl', value: 9 }, output(2)]), mpls(0x100));
    expect(first.text).toBe('pop_mpls(eth_type=0x800),R1');
    expect(run(one([]), packet, first.states[0]).text).toBe('set(ipv4(ttl=9)),12');
  });

  it('fail where there are too many', () => {
    expect(run(one([push, push, push, push, output(2)]), packet).error).toBe(XLATE_ERROR.TOO_MANY_MPLS_LABELS);
  });

  it('have a TTL', () => {
    const dec: Ofpact = { kind: 'dec_mpls_ttl' };
    expect(run(one([dec, output(2)]), mpls(0x100)).text).toContain('ttl=63');
    expect(run(one([dec, output(2)]), packet).text).toBe('drop');
  });
});

describe('encap and decap', () => {
  const encap = (packetType: number): Ofpact => ({ kind: 'encap', packetType, headerSize: 0, props: [] });
  const decap: Ofpact = { kind: 'decap', newPacketType: 0x1fffe };

  it('NSH around Ethernet, and off again', () => {
    const { text, error } = run(one([encap(0x1894f), encap(0), output(2)]), packet);
    expect(error).toBe(XLATE_ERROR.OK);
    expect(text).toMatch(/^push_nsh\(flags=0,ttl=63,mdtype=1,np=3,spi=0x0,si=255,.*\),push_eth\(.*\),12$/);
  });

  it('Ethernet off an IP packet, and on again: ports without it there are none', () => {
    expect(run(one([decap, output(2)]), packet).text).toBe('drop');
    expect(run(one([decap, encap(0), output(2)]), packet).text).toMatch(/^(pop_eth,)?push_eth\(.*\),12$/);
  });

  it('recirculates behind NSH', () => {
    const nsh = udp(2, MAC_A, MAC_B, { ethType: 0x894f, packetType: 0x894f, nshNp: 3, nshMdtype: 1, nshTtl: 63 });
    expect(run(one([decap, output(2)]), nsh).text).toBe('pop_nsh(),R1');
  });

  it('fails where it makes no sense', () => {
    expect(run(one([encap(0), output(2)]), packet).error).toBe(XLATE_ERROR.UNSUPPORTED_PACKET_TYPE);
  });
});

describe('copies', () => {
  it('leave the packet as it was', () => {
    const clone: Ofpact = { kind: 'clone', actions: [{ kind: 'mod_nw_ttl', value: 9 }, output(2)] };
    expect(run(one([clone, output(3)]), packet).text).toBe('set(ipv4(ttl=9)),12,set(ipv4(ttl=64)),13');
  });

  it("are the datapath's where nothing takes back what they do", () => {
    const clone: Ofpact = { kind: 'clone', actions: [ct({ flags: 1 }), output(2)] };
    expect(run(one([clone, output(3)]), packet).text).toBe('clone(ct(commit),12),13');
    expect(run(one([clone]), packet).text).toBe('ct(commit),12');
    expect(run(one([{ kind: 'clone', actions: [encap0] }, output(3)]), packet).error).not.toBe(XLATE_ERROR.OK);
  });
  const encap0: Ofpact = { kind: 'encap', packetType: 0, headerSize: 0, props: [] };

  it('go through patch ports, and nothing of that bridge comes back', () => {
    const there: Pick = (flow, inPort) =>
      inPort === 3 && getField(flow, FIELD.reg0) === 0
        ? [{ kind: 'mod_nw_ttl', value: 9 }, reg0(1), output(2), { kind: 'exit' }]
        : [];
    const b = bridge(2, [there], () => undefined);
    const a = bridge(1, [[reg0(5), output(9), output(3)]], (p) => (p === 9 ? b.xport(3) : undefined));
    a.other = b;
    expect(run(a, packet)).toMatchObject({ text: 'set(ipv4(ttl=9)),22,set(ipv4(ttl=64)),13', error: XLATE_ERROR.OK });
  });

  it('recirculate there: the rest happens in that bridge', () => {
    const b = bridge(2, [[ct({ recircTable: 1 })], [output(2)]], () => undefined);
    const a = bridge(1, [[output(9), output(3)]], (p) => (p === 9 ? b.xport(3) : undefined));
    a.other = b;
    const first = run(a, packet);
    expect(first.text).toBe('clone(ct,R1),13');
    expect(run(a, udp(2, MAC_A, MAC_B, { ctState: 0x22 }), first.states[0]).text).toBe('22');
  });
});
