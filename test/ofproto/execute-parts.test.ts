import { describe, expect, it } from 'vitest';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { OdpActionsBuilder } from '../../src/odp/odp-actions.ts';
import { executeParts } from '../../src/ofproto/xlate/commit/execute-parts.ts';
import { foldSum, pseudoSum, sumBytes } from '../../src/packet/checksum.ts';
import { actionsText } from './nests.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const ARP_HEAD = 'ffffffffffff 808888888888 0806 0001 0800 06 04';
const ARP = hex(`${ARP_HEAD} 0001 505400000005 c0a80001 000000000000 c0a80002`);
/** Sets the operation only. */
const setArpOp = (b: OdpActionsBuilder, op: number): OdpActionsBuilder => {
  const value = new Uint8Array(24);
  const mask = new Uint8Array(24);
  new DataView(value.buffer).setUint16(8, op);
  mask.fill(0xff, 8, 10);
  return b.setMasked(K.ARP, value, mask);
};
const run = (packet: Uint8Array, b: OdpActionsBuilder, needsHelp = true): [string, string][] =>
  executeParts(packet, b.finish(), needsHelp, 32_000).map((p) => [actionsText(p.actions), text(p.packet)]);
const arpWith = (op: number): string => text(ARP).replace(/0001(?=505400000005)/, op.toString(16).padStart(4, '0'));

describe('executeParts', () => {
  it('gives all to the datapath where no help is needed', () => {
    const b = new OdpActionsBuilder().output(1);
    expect(run(ARP, b, false)).toEqual([['1', text(ARP)]]);
    expect(run(ARP, new OdpActionsBuilder().output(1))).toEqual([['1', text(ARP)]]);
  });

  it('cuts at each set of ARP, and repeats what changed the packet before', () => {
    const b = new OdpActionsBuilder().output(1).pushVlan(0x8100, 0x1001).output(2);
    setArpOp(b, 2).output(3);
    setArpOp(b, 3).popVlan().output(4);
    expect(run(ARP, b)).toEqual([
      ['1,push_vlan(8100,1001),2', text(ARP)],
      ['push_vlan(8100,1001),3', arpWith(2)],
      ['push_vlan(8100,1001),pop_vlan,4', arpWith(3)],
    ]);
  });

  it('tracks a connection once, with the packet as it was at that place', () => {
    // An echo that a logical router answers: the request is committed, and what goes on is the reply.
    const b = new OdpActionsBuilder().ct({ commit: true, zone: 2 }).pushVlan(0x8100, 0x1001);
    setArpOp(b, 2).ct({ zone: 2 }).recirc(7);
    expect(run(ARP, b)).toEqual([
      [actionsText(new OdpActionsBuilder().ct({ commit: true, zone: 2 }).pushVlan(0x8100, 0x1001).finish()), text(ARP)],
      [actionsText(new OdpActionsBuilder().pushVlan(0x8100, 0x1001).ct({ zone: 2 }).recirc(7).finish()), arpWith(2)],
    ]);
  });

  it('leaves out executions that would send nothing', () => {
    expect(run(ARP, setArpOp(new OdpActionsBuilder(), 2).output(5))).toEqual([['5', arpWith(2)]]);
    expect(run(ARP, setArpOp(new OdpActionsBuilder().output(5), 2))).toEqual([['5', text(ARP)]]);
  });

  it('makes executions of their own of lists in clones', () => {
    const b = new OdpActionsBuilder().pushVlan(0x8100, 0x1001);
    b.clone((list) => void setArpOp(list, 2).output(1));
    b.output(2);
    expect(run(ARP, b)).toEqual([
      ['push_vlan(8100,1001),1', arpWith(2)],
      ['push_vlan(8100,1001),2', text(ARP)],
    ]);
  });

  it('keeps the condition of a list under a packet length', () => {
    const b = new OdpActionsBuilder();
    b.checkPktLen(
      100,
      (list) => void setArpOp(list, 2).output(1),
      (list) => void list.output(2),
    );
    const parts = executeParts(ARP, b.finish(), true, 32_000);
    expect(parts.map((p) => text(p.packet))).toEqual([arpWith(2), text(ARP)]);
    const only = (greater: boolean) =>
      new OdpActionsBuilder()
        .checkPktLen(
          100,
          (list) => void (greater && list.output(1)),
          (list) => void (!greater && list.output(2)),
        )
        .finish();
    expect(parts.map((p) => text(p.actions))).toEqual([text(only(true)), text(only(false))]);
  });

  it('takes samples by their probability', () => {
    for (const [probability, n] of [
      [0, 0],
      [0xffffffff, 1],
    ] as const) {
      const b = new OdpActionsBuilder();
      b.sample(probability, (list) => void setArpOp(list, 2).output(1));
      expect(run(ARP, b).length).toBe(n);
    }
  });
});

describe('sets in userspace', () => {
  const set = (packet: Uint8Array, attr: number, value: Uint8Array): Uint8Array =>
    executeParts(packet, new OdpActionsBuilder().set(attr, value).output(1).finish(), true, 32_000)[0]?.packet ??
    new Uint8Array(0);

  it('leaves the packet that it was given as it is', () => {
    const packet = Buffer.from(ARP);
    expect(text(set(packet, K.ARP, new Uint8Array(24)))).not.toBe(text(ARP));
    expect(text(packet)).toBe(text(ARP));
  });

  it('sets all of ARP, behind tags, too', () => {
    const value = hex('01010101 02020202 0002 404444444441 505555555551');
    const want = '0002 404444444441 01010101 505555555551 02020202';
    expect(text(set(ARP, K.ARP, value))).toBe(text(hex(`${ARP_HEAD} ${want}`)));
    const tagged = hex(text(ARP).replace('0806', '8100000a0806'));
    expect(text(set(tagged, K.ARP, value))).toBe(text(hex(`${ARP_HEAD.replace('0806', '8100000a0806')} ${want}`)));
  });

  const ECHO = hex('0a0000000001 0a0000000002 0800 4500001c00000000 40010000 c0a80001 c0a80002 0800 f7fe 00010000');

  it('sets type and code of ICMP, and its checksum', () => {
    expect(text(set(ECHO, K.ICMP, hex('0000'))).slice(-16)).toBe('0000fffe00010000');
    const later = ECHO.slice();
    later[21] = 1;
    expect(text(set(later, K.ICMP, hex('0000')))).toBe(text(later));
  });

  const TARGET = 'fe80000000000000 0000000000000009';
  const nd = (target: string, type: string, mac: string, flags = '00000000'): Uint8Array => {
    const body = `8700 0000 ${flags} ${target} ${type} 01 ${mac}`;
    const p = hex(`333300000001 0a0000000002 86dd 6000000000203aff ${TARGET} ${TARGET} ${body}`);
    const view = new DataView(p.buffer);
    view.setUint16(56, ~foldSum(sumBytes(view, 54, 32, pseudoSum(view, 22, 32, 58, 32))));
    return p;
  };

  it('sets target and link-layer address of neighbour discovery', () => {
    const other = 'fe80000000000000 00000000000000aa';
    const value = hex(`${other} 0b0000000001 0c0000000002`);
    expect(text(set(nd(TARGET, '01', '0a0000000002'), K.ND, value))).toBe(text(nd(other, '01', '0b0000000001')));
    expect(text(set(nd(TARGET, '02', '0a0000000002'), K.ND, value))).toBe(text(nd(other, '02', '0c0000000002')));
  });

  it('sets flags and the type of the option', () => {
    const want = nd(TARGET, '02', '0a0000000002', '60000000');
    expect(text(set(nd(TARGET, '01', '0a0000000002'), K.ND_EXTENSIONS, hex('60000000 02 000000')))).toBe(text(want));
  });

  it('leaves packets alone that have not got the whole header', () => {
    const value = { [K.ARP]: 24, [K.ND]: 28, [K.ND_EXTENSIONS]: 8, [K.ICMP]: 2, [K.ICMPV6]: 2 };
    for (const [attr, size] of Object.entries(value)) {
      for (const packet of [
        ARP.subarray(0, 41),
        ECHO.subarray(0, 37),
        nd(TARGET, '01', '0a0000000002').subarray(0, 60),
      ]) {
        for (let n = 0; n < packet.length; n += 3) {
          const short = packet.slice(0, n);
          const after = set(short, Number(attr), new Uint8Array(size).fill(0x5a));
          if (Number(attr) !== K.ICMPV6 || n < 62) expect(text(after)).toBe(text(short));
        }
      }
    }
  });
});
