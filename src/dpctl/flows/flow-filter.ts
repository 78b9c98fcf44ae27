/**
 * The filter of dump-flows: "in_port=v1,tcp,nw_dst=10.0.0.1,tcp_dst=80", names and values as in OpenFlow matches, without
 * masks.  A flow passes if every field that the filter names has the value there on all bits that the flow matches; a field
 * that the flow does not look at passes.
 *
 * Fields must come after what they depend on ("tcp" before "tcp_dst").  Tunnel metadata other than id and addresses, and
 * fields that no datapath key has (registers ...), are not known here.
 * Source: lib/ofp-flow.c (parse_ofp_exact_flow()), lib/meta-flow.xml for names and prerequisites.
 */
import { FIELD, type Field, FLOW_WORDS, VLAN_CFI } from '../../flow/fields.ts';
import {
  type FlowKey,
  getField,
  isFieldSet,
  newFlowKey,
  setField,
  setFieldBytes,
  setFieldOnes,
} from '../../flow/flow-key.ts';
import { AttrCursor } from '../../netlink/message.ts';
import { loadKeyAttr } from '../../odp/key/key-codec.ts';
import { KEY_ROWS, OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { parseIpv4, parseIpv6, parseMac } from '../../util/inet.ts';

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848 } as const;
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;

/** Words that stand for an Ethernet type and an IP protocol. */
// biome-ignore format: table
const PROTOCOLS: Readonly<Record<string, readonly [number, number?]>> = {
  ip: [ETH.IP], ipv4: [ETH.IP], ip4: [ETH.IP], arp: [ETH.ARP], rarp: [ETH.RARP], ipv6: [ETH.IPV6], ip6: [ETH.IPV6],
  mpls: [ETH.MPLS], mplsm: [ETH.MPLS_MCAST],
  icmp: [ETH.IP, IPPROTO.ICMP], tcp: [ETH.IP, IPPROTO.TCP], udp: [ETH.IP, IPPROTO.UDP], sctp: [ETH.IP, IPPROTO.SCTP],
  icmp6: [ETH.IPV6, IPPROTO.ICMPV6], tcp6: [ETH.IPV6, IPPROTO.TCP], udp6: [ETH.IPV6, IPPROTO.UDP],
  sctp6: [ETH.IPV6, IPPROTO.SCTP],
};

/** How a value is written; "vid" is a VLAN id, which implies that there is a tag. */
type Form = 'number' | 'mac' | 'ipv4' | 'ipv6' | 'port' | 'vid';

interface FilterField {
  readonly names: readonly string[];
  readonly field: Field;
  readonly form: Form;
  /** Ethernet types and IP protocol that the filter must have said before; empty means any. */
  readonly ethTypes: readonly number[];
  readonly proto?: number;
}

const F = FIELD;
const ANY: readonly number[] = [];
const IP = [ETH.IP, ETH.IPV6];
const ARPS = [ETH.ARP, ETH.RARP];
const row = (names: string, field: Field, form: Form, ethTypes = ANY, proto?: number): FilterField => ({
  names: names.split(' '),
  field,
  form,
  ethTypes,
  ...(proto !== undefined && { proto }),
});

// biome-ignore format: table
const FIELDS: readonly FilterField[] = [
  row('in_port',                 F.inPort,      'port'),
  row('recirc_id',               F.recircId,    'number'),
  row('dp_hash',                 F.dpHash,      'number'),
  row('skb_priority',            F.skbPriority, 'number'),
  row('pkt_mark',                F.skbMark,     'number'),
  row('ct_zone',                 F.ctZone,      'number'),
  row('ct_mark',                 F.ctMark,      'number'),
  row('tun_id tunnel_id',        F.tunId,       'number'),
  row('tun_src',                 F.tunSrc,      'ipv4'),
  row('tun_dst',                 F.tunDst,      'ipv4'),
  row('eth_src dl_src',          F.ethSrc,      'mac'),
  row('eth_dst dl_dst',          F.ethDst,      'mac'),
  row('eth_type dl_type',        F.ethType,     'number'),
  row('vlan_tci',                F.vlanTci,     'number'),
  row('dl_vlan',                 F.vlanTci,     'vid'),
  row('ip_src nw_src',           F.nwSrc,       'ipv4',   [ETH.IP, ...ARPS]),
  row('ip_dst nw_dst',           F.nwDst,       'ipv4',   [ETH.IP, ...ARPS]),
  row('ipv6_src',                F.ipv6Src,     'ipv6',   [ETH.IPV6]),
  row('ipv6_dst',                F.ipv6Dst,     'ipv6',   [ETH.IPV6]),
  row('ipv6_label',              F.ipv6Label,   'number', [ETH.IPV6]),
  row('nw_proto ip_proto',       F.nwProto,     'number', [...IP, ...ARPS]),
  row('nw_tos',                  F.nwTos,       'number', IP),
  row('nw_ttl',                  F.nwTtl,       'number', IP),
  row('arp_op',                  F.nwProto,     'number', ARPS),
  row('arp_spa',                 F.nwSrc,       'ipv4',   ARPS),
  row('arp_tpa',                 F.nwDst,       'ipv4',   ARPS),
  row('arp_sha',                 F.arpSha,      'mac',    ARPS),
  row('arp_tha',                 F.arpTha,      'mac',    ARPS),
  row('tcp_src tp_src',          F.tpSrc,       'number', IP, IPPROTO.TCP),
  row('tcp_dst tp_dst',          F.tpDst,       'number', IP, IPPROTO.TCP),
  row('tcp_flags',               F.tcpFlags,    'number', IP, IPPROTO.TCP),
  row('udp_src',                 F.tpSrc,       'number', IP, IPPROTO.UDP),
  row('udp_dst',                 F.tpDst,       'number', IP, IPPROTO.UDP),
  row('sctp_src',                F.tpSrc,       'number', IP, IPPROTO.SCTP),
  row('sctp_dst',                F.tpDst,       'number', IP, IPPROTO.SCTP),
  row('icmp_type',               F.tpSrc,       'number', [ETH.IP], IPPROTO.ICMP),
  row('icmp_code',               F.tpDst,       'number', [ETH.IP], IPPROTO.ICMP),
  row('icmpv6_type',             F.tpSrc,       'number', [ETH.IPV6], IPPROTO.ICMPV6),
  row('icmpv6_code',             F.tpDst,       'number', [ETH.IPV6], IPPROTO.ICMPV6),
  row('nd_target',               F.ndTarget,    'ipv6',   [ETH.IPV6], IPPROTO.ICMPV6),
];

export class FlowFilter {
  private readonly value = newFlowKey();
  private readonly mask = newFlowKey();
  private readonly key = newFlowKey();
  private readonly keyMask = newFlowKey();

  /** Whether a flow passes.  Throws NetlinkFormatError for nests that do not hold together. */
  passes(key: Uint8Array | undefined, mask: Uint8Array | undefined): boolean {
    loadNest(key, this.key.fill(0));
    if (mask === undefined) this.keyMask.fill(-1);
    else loadMask(mask, this.keyMask.fill(0));
    for (let i = 0; i < FLOW_WORDS; i++) {
      const differs = ((this.key[i] ?? 0) ^ (this.value[i] ?? 0)) & (this.keyMask[i] ?? 0);
      if ((differs & (this.mask[i] ?? 0)) !== 0) return false;
    }
    return true;
  }

  /** Reads a filter; ports may be given by name.  Throws a RangeError that says what is wrong. */
  static parse(text: string, portNumbers: ReadonlyMap<string, number>): FlowFilter {
    const filter = new FlowFilter();
    for (const [key, value] of splitPairs(text)) {
      const problem = filter.add(key, value, portNumbers);
      if (problem !== undefined) throw new RangeError(`${text}: ${problem}`);
    }
    return filter;
  }

  private add(name: string, text: string, portNumbers: ReadonlyMap<string, number>): string | undefined {
    const protocol = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
    if (protocol !== undefined) {
      const [ethType, proto] = protocol;
      if (getField(this.value, F.ethType) !== 0) return 'Ethernet type set multiple times';
      this.set(F.ethType, ethType);
      if (proto !== undefined) {
        if (getField(this.value, F.nwProto) !== 0) return 'network protocol set multiple times';
        this.set(F.nwProto, proto);
      }
      return undefined;
    }
    const known = FIELDS.find((f) => f.names.includes(name));
    if (known === undefined) return `unknown field ${name}`;
    const { field, form, ethTypes, proto } = known;
    const hasEthType = ethTypes.length === 0 || ethTypes.includes(getField(this.value, F.ethType));
    if (!hasEthType || (proto !== undefined && getField(this.value, F.nwProto) !== proto)) {
      return `prerequisites not met for setting ${name}`;
    }
    if (isFieldSet(this.value, field)) return `field ${name} set multiple times`;
    const bytes = parseValue(text, form, field.bits >>> 3, portNumbers);
    if (bytes === undefined) return `bad value for ${name} (${text}: invalid ${form === 'number' ? 'integer' : form})`;
    setFieldBytes(this.value, field, bytes, 0);
    if (form === 'vid') setField(this.mask, field, VLAN_CFI | 0xfff);
    else setFieldOnes(this.mask, field);
    return undefined;
  }

  private set(field: Field, value: number): void {
    setField(this.value, field, value);
    setFieldOnes(this.mask, field);
  }
}

/** "a=1,b,c(2)" as pairs; what stands alone has an empty value. */
function splitPairs(text: string): (readonly [string, string])[] {
  return [...text.matchAll(/([^, \t\r\n=(]+)(?:=([^, \t\r\n]*)|\(([^)]*)\))?/g)].map(
    (m) => [m[1] ?? '', m[2] ?? m[3] ?? ''] as const,
  );
}

/** The value's `size` bytes, most significant first. */
function parseValue(
  text: string,
  form: Form,
  size: number,
  portNumbers: ReadonlyMap<string, number>,
): Uint8Array | undefined {
  if (form === 'mac') return parseMac(text);
  if (form === 'ipv4') return parseIpv4(text);
  if (form === 'ipv6') return parseIpv6(text);
  const named = form === 'port' ? portNumbers.get(text) : undefined;
  if (named === undefined && !/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return undefined;
  let value = BigInt(named ?? text);
  if (form === 'vid') {
    if (value > 0xfffn) return undefined;
    value |= BigInt(VLAN_CFI);
  }
  if (value >> BigInt(8 * size) !== 0n) return undefined;
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * (size - 1 - i))) & 0xffn));
}

/** As {@link loadNest}; a mask without a word about VLANs means that there is no tag. */
function loadMask(nest: Uint8Array, mask: FlowKey): void {
  setFieldOnes(mask, F.vlanTci);
  loadNest(nest, mask);
}

/** Attributes of OVS_TUNNEL_KEY_ATTR_* that a filter can name. */
const TUNNEL_FIELDS: readonly (Field | undefined)[] = [F.tunId, F.tunSrc, F.tunDst];

/** Reads an OVS_KEY_ATTR_* nest, also of a mask, into `key`; attributes of odd sizes are left out. */
function loadNest(nest: Uint8Array | undefined, key: FlowKey): void {
  if (nest === undefined) return;
  const it = new AttrCursor(
    new DataView(nest.buffer, nest.byteOffset, nest.byteLength),
    0,
    nest.length,
    'OVS_KEY_ATTR',
  );
  while (it.next()) {
    const inside = nest.subarray(it.at, it.at + it.size);
    if (it.type === OVS_KEY_ATTR.ENCAP) {
      loadNest(inside, key);
    } else if (it.type === OVS_KEY_ATTR.TUNNEL) {
      const view = new DataView(inside.buffer, inside.byteOffset, inside.byteLength);
      const tunnel = new AttrCursor(view, 0, inside.length, 'OVS_TUNNEL_KEY_ATTR');
      while (tunnel.next()) {
        const field = TUNNEL_FIELDS[tunnel.type];
        if (field !== undefined && tunnel.size === field.bits >>> 3) setFieldBytes(key, field, inside, tunnel.at);
      }
    } else {
      const known = KEY_ROWS[it.type];
      if (known !== undefined && known.size === it.size) loadKeyAttr(known, it.dv, it.at, key);
    }
  }
}
