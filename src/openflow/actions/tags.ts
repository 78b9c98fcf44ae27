/**
 * Actions about VLAN tags and MPLS labels: pushing and popping them, changing their parts.
 *
 * Versions from 1.2 on have set_field instead of the actions that change parts: they are encoded as that.
 * Source: OpenFlow 1.0.2 5.2.4, 1.1.0 4.9, include/openflow/nicira-ext.h, ovs-actions(7).
 */
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { formatHex, OfpTextError, parseU8, parseU16, parseU32 } from '../ofp-text.ts';
import type {
  OfpactPlain,
  OfpactPopMpls,
  OfpactPushMpls,
  OfpactPushVlan,
  OfpactSetMpls,
  OfpactSetVlanPcp,
  OfpactSetVlanVid,
  OfpactStripVlan,
} from '../ofpact.ts';
import { type AnyRow, row } from './row.ts';
import { putSetField, textWithin, within } from './set-header.ts';
import { actionForm } from './wire.ts';

const ETH_TYPE_VLAN = 0x8100;
const ETH_TYPE_VLAN_8021AD = 0x88a8;
const OFPVID_PRESENT = 0x1000;

// ---- VLAN ----

const VID10 = actionForm('OFPAT_SET_VLAN_VID', 'OF1.0(1)', 'u16');
const VID11 = actionForm('OFPAT_SET_VLAN_VID', 'OF1.1+(1)', 'u16');
const PCP10 = actionForm('OFPAT_SET_VLAN_PCP', 'OF1.0(2)', 'u8');
const PCP11 = actionForm('OFPAT_SET_VLAN_PCP', 'OF1.1+(2)', 'u8');
const PUSH_VLAN = actionForm('OFPAT_PUSH_VLAN', 'OF1.1+(17)', 'u16');
const STRIP_VLAN = actionForm('OFPAT_STRIP_VLAN', 'OF1.0(3)', 'void');
const POP_VLAN = actionForm('OFPAT_POP_VLAN', 'OF1.1+(18)', 'void');

const vlanVid = (vid: number, pushIfNone: boolean): OfpactSetVlanVid => ({
  kind: 'set_vlan_vid',
  vid,
  pushIfNone,
  flowHasVlan: false,
});
const vlanPcp = (pcp: number, pushIfNone: boolean): OfpactSetVlanPcp => ({
  kind: 'set_vlan_pcp',
  pcp,
  pushIfNone,
  flowHasVlan: false,
});
const parseVid = (arg: string): number => textWithin(parseU16(arg, 'VLAN VID'), 0xfff, arg, 'VLAN VID');
const parsePcp = (arg: string): number => textWithin(parseU8(arg, 'VLAN PCP'), 7, arg, 'VLAN PCP');

const VLAN_ROWS: AnyRow[] = [
  row<OfpactSetVlanVid>({
    kind: 'set_vlan_vid',
    decoders: [
      { form: VID10, decode: (b) => vlanVid(within(b.arg, 0xfff), true) },
      { form: VID11, decode: (b) => vlanVid(within(b.arg, 0xfff), false) },
    ],
    encode(a, { version, out }) {
      if (version > 1 && a.pushIfNone && !a.flowHasVlan) out.action(PUSH_VLAN, version, ETH_TYPE_VLAN);
      if (version === 1) out.action(VID10, version, a.vid);
      else if (version === 2) out.action(VID11, version, a.vid);
      else putSetField(out, version, 'vlan_vid', a.vid | OFPVID_PRESENT);
    },
    format: (a) => `${a.pushIfNone ? 'mod_vlan_vid' : 'set_vlan_vid'}:${a.vid}`,
    parse: {
      set_vlan_vid: (arg) => vlanVid(parseVid(arg), false),
      mod_vlan_vid: (arg) => vlanVid(parseVid(arg), true),
    },
  }),
  row<OfpactSetVlanPcp>({
    kind: 'set_vlan_pcp',
    decoders: [
      { form: PCP10, decode: (b) => vlanPcp(within(b.arg, 7), true) },
      { form: PCP11, decode: (b) => vlanPcp(within(b.arg, 7), false) },
    ],
    encode(a, { version, out }) {
      if (version > 1 && a.pushIfNone && !a.flowHasVlan) out.action(PUSH_VLAN, version, ETH_TYPE_VLAN);
      if (version === 1) out.action(PCP10, version, a.pcp);
      else if (version === 2) out.action(PCP11, version, a.pcp);
      else putSetField(out, version, 'vlan_pcp', a.pcp);
    },
    format: (a) => `${a.pushIfNone ? 'mod_vlan_pcp' : 'set_vlan_pcp'}:${a.pcp}`,
    parse: {
      set_vlan_pcp: (arg) => vlanPcp(parsePcp(arg), false),
      mod_vlan_pcp: (arg) => vlanPcp(parsePcp(arg), true),
    },
  }),
  row<OfpactStripVlan>({
    kind: 'strip_vlan',
    decoders: [
      { form: STRIP_VLAN, decode: () => ({ kind: 'strip_vlan', isPop: false }) },
      { form: POP_VLAN, decode: () => ({ kind: 'strip_vlan', isPop: true }) },
    ],
    encode: (_, { version, out }) => void out.action(version === 1 ? STRIP_VLAN : POP_VLAN, version),
    format: (a) => (a.isPop ? 'pop_vlan' : 'strip_vlan'),
    parse: {
      strip_vlan: () => ({ kind: 'strip_vlan', isPop: false }),
      pop_vlan: () => ({ kind: 'strip_vlan', isPop: true }),
    },
  }),
  row<OfpactPushVlan>({
    kind: 'push_vlan',
    decoders: [
      {
        form: PUSH_VLAN,
        decode(b) {
          if (b.arg !== ETH_TYPE_VLAN && b.arg !== ETH_TYPE_VLAN_8021AD) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
          return { kind: 'push_vlan', ethType: b.arg };
        },
      },
    ],
    encode(a, { version, out }) {
      // In OpenFlow 1.0 the set_vlan_vid or set_vlan_pcp that follows pushes the tag.
      if (version > 1) out.action(PUSH_VLAN, version, a.ethType);
    },
    format: (a) => `push_vlan:${formatHex(a.ethType)}`,
    parse: {
      push_vlan(arg, c) {
        c.usable &= OFPUTIL_P.OF11_UP;
        const ethType = parseU16(arg, 'ethertype');
        if (ethType !== ETH_TYPE_VLAN && ethType !== ETH_TYPE_VLAN_8021AD) {
          throw new OfpTextError(`${arg}: not a valid VLAN ethertype`);
        }
        return { kind: 'push_vlan', ethType };
      },
    },
  }),
];

// ---- MPLS ----

const LABEL = actionForm('OFPAT_SET_MPLS_LABEL', 'NX1.0(30) OF1.1+(13)', 'u32');
const TC = actionForm('OFPAT_SET_MPLS_TC', 'NX1.0(31) OF1.1+(14)', 'u8');
const MPLS_TTL = actionForm('OFPAT_SET_MPLS_TTL', 'NX1.0(25) OF1.1+(15)', 'u8');
const DEC_MPLS_TTL = actionForm('OFPAT_DEC_MPLS_TTL', 'NX1.0(26) OF1.1+(16)', 'void');
const PUSH_MPLS = actionForm('OFPAT_PUSH_MPLS', 'NX1.0(23) OF1.1+(19)', 'u16');
const POP_MPLS = actionForm('OFPAT_POP_MPLS', 'NX1.0(24) OF1.1+(20)', 'u16');
const hex4 = (n: number): string => `0x${n.toString(16).padStart(4, '0')}`;
const needed = (arg: string, kind: string, what: string): string => {
  if (arg === '') throw new OfpTextError(`${kind}: expected ${what}.`);
  return arg;
};

/** Bits that a label or a class has beyond its field are taken, and have no effect, as in Open vSwitch: set_field must not have them. */
const MPLS_LABEL_MASK = 0xfffff;
const MPLS_TC_MASK = 7;

const MPLS_ROWS: AnyRow[] = [
  row<OfpactSetMpls>({
    kind: 'set_mpls_label',
    decoders: [{ form: LABEL, decode: (b) => ({ kind: 'set_mpls_label', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(LABEL, version, a.value);
      else putSetField(out, version, 'mpls_label', a.value & MPLS_LABEL_MASK);
    },
    format: (a) => `set_mpls_label(${a.value})`,
    parse: {
      set_mpls_label: (arg) => ({
        kind: 'set_mpls_label',
        value: textWithin(parseU32(needed(arg, 'set_mpls_label', 'label')), 0xfffff, arg, 'MPLS label'),
      }),
    },
  }),
  row<OfpactSetMpls>({
    kind: 'set_mpls_tc',
    decoders: [{ form: TC, decode: (b) => ({ kind: 'set_mpls_tc', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(TC, version, a.value);
      else putSetField(out, version, 'mpls_tc', a.value & MPLS_TC_MASK);
    },
    format: (a) => `set_mpls_tc(${a.value})`,
    parse: {
      set_mpls_tc: (arg) => ({
        kind: 'set_mpls_tc',
        value: textWithin(parseU8(needed(arg, 'set_mpls_tc', 'tc'), 'MPLS TC'), 7, arg, 'MPLS TC'),
      }),
    },
  }),
  row<OfpactSetMpls>({
    kind: 'set_mpls_ttl',
    decoders: [{ form: MPLS_TTL, decode: (b) => ({ kind: 'set_mpls_ttl', value: b.arg }) }],
    encode: (a, { version, out }) => void out.action(MPLS_TTL, version, a.value),
    format: (a) => `set_mpls_ttl(${a.value})`,
    parse: {
      set_mpls_ttl: (arg) => ({
        kind: 'set_mpls_ttl',
        value: parseU8(needed(arg, 'set_mpls_ttl', 'ttl'), 'MPLS TTL'),
      }),
    },
  }),
  row<OfpactPlain>({
    kind: 'dec_mpls_ttl',
    decoders: [{ form: DEC_MPLS_TTL, decode: () => ({ kind: 'dec_mpls_ttl' }) }],
    encode: (_, { version, out }) => void out.action(DEC_MPLS_TTL, version),
    format: () => 'dec_mpls_ttl',
    parse: { dec_mpls_ttl: () => ({ kind: 'dec_mpls_ttl' }) },
  }),
  row<OfpactPushMpls>({
    kind: 'push_mpls',
    decoders: [
      {
        form: PUSH_MPLS,
        decode(b) {
          if (b.arg !== 0x8847 && b.arg !== 0x8848) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
          return { kind: 'push_mpls', ethType: b.arg };
        },
      },
    ],
    encode: (a, { version, out }) => void out.action(PUSH_MPLS, version, a.ethType),
    format: (a) => `push_mpls:${hex4(a.ethType)}`,
    parse: { push_mpls: (arg) => ({ kind: 'push_mpls', ethType: parseU16(arg, 'push_mpls') }) },
  }),
  row<OfpactPopMpls>({
    kind: 'pop_mpls',
    decoders: [{ form: POP_MPLS, decode: (b) => ({ kind: 'pop_mpls', ethType: b.arg }) }],
    encode: (a, { version, out }) => void out.action(POP_MPLS, version, a.ethType),
    format: (a) => `pop_mpls:${hex4(a.ethType)}`,
    parse: { pop_mpls: (arg) => ({ kind: 'pop_mpls', ethType: parseU16(arg, 'pop_mpls') }) },
  }),
];

export const TAG_ROWS: AnyRow[] = [...VLAN_ROWS, ...MPLS_ROWS];
