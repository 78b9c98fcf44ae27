/** Texts of OpenFlow matches, actions and flows, at random: mostly such as make sense, with values at the borders of their range. */
import type { MfField } from '../../src/openflow/fields/mf-field.ts';
import { MF_FIELDS } from '../../src/openflow/fields/mf-fields.ts';
import type { Random } from './random.ts';

const NUMBERS = [
  '0',
  '1',
  '2',
  '7',
  '8',
  '15',
  '63',
  '64',
  '255',
  '256',
  '4095',
  '4096',
  '65535',
  '0x10000',
  '-1',
  '010',
];
const WIDE = ['0xffffffff', '0x100000000', '0x8000000000000000', '0xffffffffffffffff', '0x10000000000000000'];
const PORTS = [
  '1',
  '2',
  '3',
  'LOCAL',
  'in_port',
  'controller',
  'all',
  'flood',
  'normal',
  'none',
  '65535',
  '0xfffffff8',
];
const PROTOCOLS = [
  'ip',
  'ipv6',
  'tcp',
  'udp',
  'tcp6',
  'udp6',
  'sctp',
  'icmp',
  'icmp6',
  'arp',
  'rarp',
  'mpls',
  'mplsm',
  'eth',
];
/** What a field may need to stand behind. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  ipv4: ['ip', 'tcp'],
  ipv6: ['ipv6', 'udp6'],
  'ip-any': ['ip', 'ipv6'],
  arp: ['arp', 'rarp'],
  tcp: ['tcp', 'tcp6'],
  udp: ['udp', 'udp6'],
  sctp: ['sctp', 'sctp6'],
  icmpv4: ['icmp'],
  icmpv6: ['icmp6'],
  nd: ['icmp6,icmp_type=135', 'icmp6,icmp_type=136,icmp_code=0'],
  'nd-solicit': ['icmp6,icmp_type=135,icmp_code=0'],
  'nd-advert': ['icmp6,icmp_type=136,icmp_code=0'],
  mpls: ['mpls', 'mplsm'],
  nsh: ['dl_type=0x894f', 'packet_type=(1,0x894f)'],
  'vlan-vid': ['dl_vlan=5', 'vlan_tci=0x1000/0x1000'],
  'ct-valid': ['ct_state=+trk,ip', 'ct_state=+trk+est,ipv6'],
};

const number = (random: Random): string =>
  random.oneIn(8) ? random.pick(WIDE) : random.oneIn(4) ? String(random.u32()) : random.pick(NUMBERS);
const hexDigits = (random: Random, n: number): string => Buffer.from(random.bytes(n)).toString('hex');
const ipv4 = (random: Random): string =>
  random.oneIn(2) ? random.bytes(4).join('.') : random.pick(['0.0.0.0', '10.0.0.1', '255.255.255.255', '224.0.0.1']);
const ipv6 = (random: Random): string => random.pick(['::', '::1', 'fe80::1', '2001:db8::ff', 'ffff::', '::1.2.3.4']);
const mac = (random: Random): string =>
  random.oneIn(2)
    ? random
        .bytes(6)
        .map((b) => b.toString(16).padStart(2, '0'))
        .join(':')
    : random.pick(['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:00:00:00:00']);

function masked(random: Random, value: (random: Random) => string, prefix: number): string {
  switch (random.below(5)) {
    case 0:
      return `${value(random)}/${value(random)}`;
    case 1:
      return prefix > 0 ? `${value(random)}/${random.below(prefix + 2)}` : value(random);
    default:
      return value(random);
  }
}

/** A value for a field, mostly of a size that fits. */
export function fieldValue(field: MfField, random: Random): string {
  switch (field.format) {
    case 'ipv4':
      return masked(random, ipv4, 32);
    case 'ipv6':
      return masked(random, ipv6, 128);
    case 'ethernet':
      return masked(random, mac, 0);
    case 'ofp-port':
    case 'ofp-port-oxm':
      return random.pick(PORTS);
    case 'ct-state':
      return random.pick(['+trk', '+trk+est-new', '-trk', '0x3f/0x3f', '+inv', 'trk|est', '0']);
    case 'tcp-flags':
      return random.pick(['+syn-ack', '+fin', 'syn', '0xfff/0xfff', '0']);
    case 'tnl-flags':
      return random.pick(['+oam', 'oam', '-oam', '0', '1/1']);
    case 'frag':
      return random.pick(['no', 'yes', 'first', 'later', 'not_later']);
    case 'packet-type':
      return random.pick(['(0,0)', '(1,0x800)', '(1,0x894f)', '(1,0x86dd)']);
    default: {
      const bits = Math.min(field.bits, 64);
      const fits = (r: Random): string =>
        r.oneIn(6) ? number(r) : `0x${((BigInt(r.u32()) << 32n) | BigInt(r.u32())) & ((1n << BigInt(bits)) - 1n)}`;
      return masked(random, random.oneIn(2) ? fits : number, 0);
    }
  }
}

const subfield = (random: Random): string => {
  const field = random.pick(MF_FIELDS);
  const low = random.below(field.bits);
  switch (random.below(4)) {
    case 0:
      return `${field.name}[]`;
    case 1:
      return `${field.name}[${low}]`;
    case 2:
      return `${field.name}[${low}..${low + random.below(Math.min(32, field.bits - low))}]`;
    default:
      return `reg${random.below(17)}[${random.below(16)}..${16 + random.below(17)}]`;
  }
};

/** Fields, what they need before them, and what else a flow's text may begin with. */
export function matchText(random: Random): string {
  const parts: string[] = [];
  if (random.oneIn(3)) parts.push(random.pick(PROTOCOLS));
  for (let n = random.below(5); n > 0; n--) {
    const field = random.pick(MF_FIELDS);
    const needs = NEEDS[field.prereq];
    if (needs !== undefined && !random.oneIn(5)) parts.push(random.pick(needs));
    const name = field.extraName !== undefined && random.oneIn(2) ? field.extraName : field.name;
    parts.push(random.oneIn(8) ? `${subfield(random)}=${number(random)}` : `${name}=${fieldValue(field, random)}`);
  }
  return parts.join(random.pick([',', ', ', ' ']));
}

const list = (random: Random, make: (random: Random) => string): string =>
  Array.from({ length: random.below(4) }, () => make(random)).join(',');

const natArgs = (random: Random): string =>
  random.pick([
    'src',
    'dst',
    `src=${ipv4(random)}`,
    `dst=${ipv4(random)}-${ipv4(random)}:${number(random)}-${number(random)}`,
    `src=[${ipv6(random)}]-[${ipv6(random)}]:1-2,random`,
    `src=[${ipv6(random)}],persistent,hash`,
    '',
  ]);

const learnSpec = (random: Random): string => {
  const field = random.pick(MF_FIELDS);
  return random.pick([
    `${field.name}=${fieldValue(field, random)}`,
    `${subfield(random)}=${subfield(random)}`,
    subfield(random),
    `load:${number(random)}->${subfield(random)}`,
    `load:${subfield(random)}->${subfield(random)}`,
    `output:${subfield(random)}`,
    `priority=${number(random)}`,
    `idle_timeout=${number(random)}`,
    `table=${number(random)}`,
    `limit=${number(random)},result_dst=${subfield(random)}`,
    `cookie=${number(random)}`,
    'send_flow_rem',
    'delete_learned',
  ]);
};

const nested = (random: Random, depth: number): string => (depth > 3 ? 'drop' : actionsText(random, depth + 1));

/** One action, or instruction; `depth`: how many it is inside of. */
export function actionText(random: Random, depth = 0): string {
  const field = random.pick(MF_FIELDS);
  const n = (): string => number(random);
  // biome-ignore format: list
  const makers: readonly (() => string)[] = [
    () => `output:${random.pick(PORTS)}`, () => random.pick(PORTS), () => `output:${subfield(random)}`,
    () => `output(port=${n()},max_len=${n()})`, () => `enqueue:${n()}:${n()}`,
    () => `controller(reason=${random.pick(['action', 'no_match', 'invalid_ttl', 'x'])},max_len=${n()},id=${n()})`,
    () => `controller(userdata=${hexDigits(random, random.below(20))}${random.oneIn(2) ? ',pause' : ''},meter_id=${n()})`,
    () => `mod_vlan_vid:${n()}`, () => `mod_vlan_pcp:${n()}`, () => 'strip_vlan', () => `push_vlan:${random.pick(['0x8100', '0x88a8', n()])}`,
    () => `mod_dl_src:${mac(random)}`, () => `mod_nw_dst:${ipv4(random)}`, () => `mod_nw_tos:${n()}`, () => `mod_tp_src:${n()}`,
    () => `mod_nw_ecn:${n()}`, () => `mod_nw_ttl:${n()}`, () => `dec_ttl(${n()},${n()})`, () => 'dec_ttl',
    () => `set_mpls_label(${n()})`, () => `set_mpls_tc(${n()})`, () => `push_mpls:${random.pick(['0x8847', '0x8848', n()])}`,
    () => `pop_mpls:${n()}`, () => 'dec_mpls_ttl', () => `set_tunnel:${n()}`, () => `set_queue:${n()}`, () => 'pop_queue',
    () => `resubmit:${random.pick(PORTS)}`, () => `resubmit(${random.oneIn(2) ? '' : n()},${n()}${random.oneIn(3) ? ',ct' : ''})`,
    () => `fin_timeout(idle_timeout=${n()},hard_timeout=${n()})`,
    () => `sample(probability=${n()},collector_set_id=${n()},obs_domain_id=${n()},obs_point_id=${n()}${random.oneIn(2) ? ',ingress' : ''})`,
    () => `conjunction(${n()},${n()}/${n()})`, () => `note:${hexDigits(random, random.below(30))}`,
    () => `clone(${nested(random, depth)})`, () => `group:${n()}`, () => 'exit', () => 'ct_clear',
    () => `set_field:${fieldValue(field, random)}->${field.name}`, () => `load:${n()}->${subfield(random)}`,
    () => `move:${subfield(random)}->${subfield(random)}`, () => `push:${subfield(random)}`, () => `pop:${subfield(random)}`,
    () => `multipath(${random.pick(['eth_src', 'symmetric_l4', 'symmetric_l3l4+udp', 'nw_src'])},${n()},${random.pick(['modulo_n', 'hash_threshold', 'hrw', 'iter_hash'])},${n()},${n()},${subfield(random)})`,
    () => `bundle(eth_src,${n()},${random.pick(['active_backup', 'hrw'])},ofport,members:${list(random, (r) => r.pick(PORTS))})`,
    () => `bundle_load(symmetric_l4,${n()},hrw,ofport,${subfield(random)},slaves:${list(random, (r) => r.pick(PORTS))})`,
    () => `learn(${list(random, learnSpec)})`,
    () => `ct(${list(random, (r) => r.pick(['commit', 'force', `zone=${number(r)}`, `zone=${subfield(r)}`, `table=${number(r)}`, `alg=${r.pick(['ftp', 'tftp', 'x'])}`, `nat(${natArgs(r)})`, `exec(set_field:${number(r)}->ct_mark)`, 'nat', `exec(${nested(r, depth)})`]))})`,
    () => `check_pkt_larger(${n()})->${subfield(random)}`, () => `output(port=1,max_len=${n()})`, () => `truncate(${n()})`,
    () => `encap(${random.pick(['nsh', 'ethernet', 'mpls', 'mpls_mc', `nsh(md_type=${n()})`, `nsh(md_type=2,tlv(${n()},${n()},0x${hexDigits(random, random.below(9))}))`])})`,
    () => random.pick(['decap', 'decap()', `decap(packet_type(ns=${n()},type=${n()}))`]), () => `dec_nsh_ttl`,
    () => `delete_field:${field.name}`, () => `meter:${n()}`, () => `goto_table:${n()}`, () => `write_metadata:${n()}/${n()}`,
    () => `write_actions(${nested(random, depth)})`, () => 'clear_actions', () => `drop`, () => `debug_recirc`,
  ];
  return random.pick(makers)();
}

export const actionsText = (random: Random, depth = 0): string =>
  random.oneIn(12)
    ? 'drop'
    : Array.from({ length: 1 + random.below(random.oneIn(4) ? 8 : 2) }, () => actionText(random, depth)).join(',');

/** A flow, as `ovs-ofctl add-flow` takes it. */
export function flowText(random: Random): string {
  const head: string[] = [];
  const n = (): string => number(random);
  if (random.oneIn(8)) head.push(random.pick(['add', 'modify', 'modify_strict']));
  if (random.oneIn(3)) head.push(`table=${n()}`);
  if (random.oneIn(3)) head.push(`priority=${n()}`);
  if (random.oneIn(5)) head.push(`cookie=${n()}${random.oneIn(3) ? `/${n()}` : ''}`);
  if (random.oneIn(6)) head.push(`idle_timeout=${n()}`, `hard_timeout=${n()}`);
  if (random.oneIn(8)) head.push(random.pick(['send_flow_rem', 'check_overlap', 'reset_counts', 'importance=5']));
  const match = matchText(random);
  const comma = match === '' || head.length === 0 ? '' : ',';
  return `${head.join(',')}${comma}${match} actions=${actionsText(random)}`;
}
