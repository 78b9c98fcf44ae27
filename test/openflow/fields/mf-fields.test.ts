/** The table of match fields: its own rules, and the header of the stock switch where there is one. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import {
  MF,
  MF_FIELDS,
  mfByHeader,
  mfByHeaderName,
  mfByName,
  mfHeader,
} from '../../../src/openflow/fields/mf-fields.ts';
import { OFPUTIL_P } from '../../../src/openflow/ofp-protocol.ts';

describe('match fields', () => {
  it('are found by either name and by every header, with a mask too', () => {
    expect(MF_FIELDS.map((f) => f.id)).toEqual(MF_FIELDS.map((_, i) => i));
    for (const field of MF_FIELDS) {
      expect(mfByName(field.name)).toBe(field);
      if (field.extraName !== undefined) expect(mfByName(field.extraName)).toBe(field);
      for (const { header, name } of field.headers) {
        expect(mfByHeaderName(name)).toBe(field);
        expect(mfByHeader(header).field).toBe(field);
        const experimenter = ((header >> 16n) & 0xffffn) === 0xffffn ? 4 : 0;
        const length = Number(header & 0xffn);
        expect(length).toBe(field.bytes + experimenter);
        const masked = (header & ~0xffn) | 0x100n | BigInt(2 * field.bytes + experimenter);
        expect(mfByHeader(masked).field).toBe(field);
        if (!field.isVariable) expect(mfByHeader(header + 1n)).toEqual({ field: undefined, isBadLength: true });
      }
    }
    expect(mfByName('eth_sorc')).toBeUndefined();
    expect(mfByHeader(0x0001_fe04n)).toEqual({ field: undefined, isBadLength: false });
    expect(() => MF['no_such']).toThrow(RangeError);
  });

  it('stand where the flow has them', () => {
    expect(MF['in_port']?.at).toBe(FIELD.inPort.at + 16);
    expect(MF['reg7']?.at).toBe(FIELD.reg7.at);
    expect(MF['xreg3']?.at).toBe(FIELD.reg6.at);
    expect(MF['xxreg1']?.at).toBe(FIELD.reg4.at);
    expect(MF['mpls_label']?.at).toBe(FIELD.mplsLse0.at);
    expect(MF['mpls_ttl']?.at).toBe(FIELD.mplsLse0.at + 24);
    expect(MF['ip_dscp']?.at).toBe(FIELD.nwTos.at);
    expect(MF['nw_ecn']?.at).toBe(FIELD.nwTos.at + 6);
    expect(MF['ct_state']?.at).toBe(FIELD.ctState.at);
    expect(MF['nsh_spi']?.at).toBe(FIELD.nshPathHdr.at);
    expect(MF['tun_metadata9']?.at).toBe(-1);
  });

  it('are written with the code point that a version has', () => {
    const written = (name: string, version: number) => mfHeader(MF[name] ?? MF_FIELDS[0]!, version)?.name;
    expect(written('tun_id', 1)).toBe('NXM_NX_TUN_ID');
    expect(written('tun_id', 4)).toBe('OXM_OF_TUNNEL_ID');
    expect(written('tcp_flags', 3)).toBe('NXM_NX_TCP_FLAGS');
    expect(written('tcp_flags', 5)).toBe('ONFOXM_ET_TCP_FLAGS');
    expect(written('tcp_flags', 6)).toBe('OXM_OF_TCP_FLAGS');
    expect(written('dp_hash', 6)).toBe('NXM_NX_DP_HASH');
    expect(written('vlan_vid', 0)).toBe('OXM_OF_VLAN_VID');
    expect(written('xreg2', 0)).toBe('OXM_OF_PKT_REG2');
    expect(written('dl_vlan', 6)).toBeUndefined();
  });

  it('tell the protocols that can match them', () => {
    expect(MF['eth_src']?.usable).toEqual({
      exact: OFPUTIL_P.ANY,
      cidr: OFPUTIL_P.NXM_OF11_UP,
      bitwise: OFPUTIL_P.NXM_OF11_UP,
    });
    expect(MF['ip_src']?.usable.cidr).toBe(OFPUTIL_P.ANY);
    expect(MF['dl_vlan']?.usable).toEqual({ exact: OFPUTIL_P.ANY, cidr: 0, bitwise: 0 });
    expect(MF['tun_ttl']?.usable.exact).toBe(OFPUTIL_P.NONE);
  });
});

const META_FLOW_H = process.env['OVS_META_FLOW_H'] ?? '/usr/include/openvswitch/meta-flow.h';
describe('meta-flow.h of Open vSwitch', () => {
  it('has the same fields in the same order, with the same bytes, access and code points', ({ skip }) => {
    if (!existsSync(META_FLOW_H)) skip(`${META_FLOW_H} is not there; OVS_META_FLOW_H can name another`);
    const text = readFileSync(META_FLOW_H, 'utf8');
    const known = new Map(MF_FIELDS.map((f) => [f.name, f]));
    let n = 0;
    for (const [, body = ''] of text.matchAll(/\/\*((?:(?!\*\/)[\s\S])*?Access: [\s\S]*?)\*\//g)) {
      const name = /"(\w+)(?:<N>)?"/.exec(body)?.[1] ?? '';
      const isFamily = body.includes('<N>"') || /"(reg|xreg|xxreg|tun_metadata)<N>"/.test(body);
      const field = known.get(isFamily ? `${name}0` : name);
      if (name === '' || field === undefined) continue;
      n++;
      expect([name, /Access: read\/write/.test(body)]).toEqual([name, field.isWritable]);
      expect([name, /Maskable: bitwise/.test(body)]).toEqual([name, field.isMaskable]);
      for (const header of field.headers) expect(body).toContain(header.name.replace(isFamily ? /0$/ : /$^/, ''));
    }
    expect(n).toBeGreaterThan(90);
  });
});
