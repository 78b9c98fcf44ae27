/**
 * encap and decap: a header in front of the packet, or none of it any more.
 *
 * ```
 * encap: | type 16 | size 16 | vendor 32 | subtype 16 | header size 16 | packet type 32 | properties ... |
 * decap: | type 16 | size 16 | vendor 32 | subtype 16 |     pad 16     | packet type 32 |
 * property, padded to 8 bytes: | class 16 | type 8 | length 8 | value ... |
 * ```
 * A packet type is namespace << 16 | type.  `EncapProp.value` of a metadata type is that byte; of a TLV its class (16 bits), type, length and
 * data, without padding.
 * Source: include/openvswitch/ofp-ed-props.h, lib/ofp-ed-props.c, lib/ofp-actions.c, ovs-actions(7).
 */
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { formatHex, KeyValues, OfpTextError, parseU8, parseU16 } from '../ofp-text.ts';
import type { EncapProp, OfpactDecap, OfpactEncap } from '../ofpact.ts';
import { type AnyRow, row } from './row.ts';
import { type ActionBytes, type ActionWriter, actionForm } from './wire.ts';

const ENCAP = actionForm('NXAST_RAW_ENCAP', 'NX1.3+(46)', 16, true);
const DECAP = actionForm('NXAST_RAW_DECAP', 'NX1.3+(47)', 16, true);

const OFPPPC_NSH = 4;
const NSH_PROP = { MDTYPE: 1, TLV: 2 } as const;
/** Bytes before a property's value, and before a TLV's data in its value. */
const PROP_HEADER = 4;
const TLV_HEADER = 4;
/** Namespaces of packet types that there are. */
const N_NAMESPACES = 2;
/** (0, 0xfffe): decap looks at the header for what follows it. */
const USE_NEXT_PROTO = 0xfffe;

/** Headers that encap knows, and the class of their properties; those of other classes have none. */
const HEADERS: readonly { readonly name: string; readonly packetType: number; readonly propClass: number }[] = [
  { name: 'ethernet', packetType: 0, propClass: 0 },
  { name: 'nsh', packetType: 0x1894f, propClass: OFPPPC_NSH },
  { name: 'mpls', packetType: 0x18847, propClass: 1 },
  { name: 'mpls_mc', packetType: 0x18848, propClass: 1 },
];

const pad8 = (n: number): number => (n + 7) & ~7;

function readProp(b: ActionBytes, at: number): { readonly prop: EncapProp; readonly end: number } {
  const left = b.size - at;
  const size = left < PROP_HEADER ? 0 : b.u8(at + 3);
  if (size < PROP_HEADER || pad8(size) > left) throw new OfpError(OFPERR.OFPBAC_BAD_LEN, `property at byte ${at}`);
  const propClass = b.u16(at);
  const type = b.u8(at + 2);
  if (propClass !== OFPPPC_NSH || (type !== NSH_PROP.MDTYPE && type !== NSH_PROP.TLV)) {
    throw new OfpError(OFPERR.NXBAC_UNKNOWN_ED_PROP, `property ${propClass}.${type}`);
  }
  const body = at + PROP_HEADER;
  let valueSize = 1;
  if (type === NSH_PROP.TLV) {
    valueSize = TLV_HEADER + b.u8(body + 3);
    if (size !== PROP_HEADER + TLV_HEADER + pad8(valueSize - TLV_HEADER)) valueSize = -1;
  } else if (size > 8) valueSize = -1;
  if (valueSize < 0) throw new OfpError(OFPERR.NXBAC_BAD_ED_PROP, `property ${propClass}.${type} of ${size} bytes`);
  return { prop: { propClass, type, value: b.bytes(body, body + valueSize) }, end: at + pad8(size) };
}

/** Appends a property with its padding.  The length counts a TLV's padding, and not a metadata type's. */
function putProp(out: ActionWriter, { propClass, type, value }: EncapProp): void {
  const padded = pad8(PROP_HEADER + value.length);
  const size = type === NSH_PROP.TLV ? padded : PROP_HEADER + value.length;
  out.putU16(propClass);
  out.putBytes(Uint8Array.of(type, size));
  out.putBytes(value);
  out.putBytes(new Uint8Array(padded - PROP_HEADER - value.length));
}

function formatProp({ type, value }: EncapProp): string {
  if (type === NSH_PROP.MDTYPE) return `md_type=${value[0]}`;
  const [high = 0, low = 0, tlvType] = value;
  const digits = Array.from(value.subarray(TLV_HEADER), (b) => b.toString(16).padStart(2, '0')).join('');
  const number = digits.replace(/^0+/, '');
  const classText = ((high << 8) | low).toString(16).padStart(4, '0');
  return `tlv(0x${classText},${tlvType},${number === '' ? '0' : `0x${number}`})`;
}

function parseTlv(text: string): Uint8Array {
  // As the stock tool reads it: what follows the digits is not looked at, half a byte is dropped.
  const found = /^\s*0x([0-9a-f]{1,4}),\s*(\d+),\s*0x([0-9a-f]{1,251})/i.exec(text);
  const [, classText = '', typeText = '', digits = ''] = found ?? [];
  if (found === null) throw new OfpTextError(`Invalid NSH TLV header: ${text}`);
  const tlvClass = Number.parseInt(classText, 16);
  const data = Uint8Array.from({ length: digits.length >> 1 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
  return Uint8Array.of(tlvClass >> 8, tlvClass, Number(typeText), data.length, ...data);
}

function parseNshProp(key: string, text: string): EncapProp {
  const type = key === 'md_type' ? NSH_PROP.MDTYPE : NSH_PROP.TLV;
  if (text === '') throw new OfpTextError('Value missing for encap property');
  if (type === NSH_PROP.TLV) return { propClass: OFPPPC_NSH, type, value: parseTlv(text) };
  const mdType = parseU8(text, 'md_type');
  if (mdType < 1 || mdType > 2) throw new OfpTextError('invalid md_type');
  return { propClass: OFPPPC_NSH, type, value: Uint8Array.of(mdType) };
}

function parseEncap(arg: string): OfpactEncap {
  const kv = new KeyValues(arg);
  if (!kv.next()) throw new OfpTextError(`Missing encap hdr: ${arg}`);
  const header = HEADERS.find((h) => h.name === kv.key);
  if (header === undefined) throw new OfpTextError(`Encap hdr not supported: ${kv.value}`);
  const props: EncapProp[] = [];
  for (const p = new KeyValues(kv.value); p.next(); ) {
    const isKnown = header.propClass === OFPPPC_NSH && (p.key === 'md_type' || p.key === 'tlv');
    if (!isKnown) throw new OfpTextError(`Invalid property: ${p.key}`);
    props.push(parseNshProp(p.key, p.value));
  }
  return { kind: 'encap', packetType: header.packetType, headerSize: 0, props };
}

/** The namespace and type in "ns=1,type=0x894f". */
function parsePacketType(text: string): number {
  const kv = new KeyValues(text);
  const take = (key: string): number => {
    if (!kv.next() || kv.key !== key) throw new OfpTextError(`Missing packet_type attribute ${key}`);
    return parseU16(kv.value, key);
  };
  const ns = take('ns');
  if (ns >= N_NAMESPACES) throw new OfpTextError(`Unsupported ns value: ${ns}`);
  return ns * 0x10000 + take('type');
}

export const ENCAP_ROWS: AnyRow[] = [
  row<OfpactEncap>({
    kind: 'encap',
    decoders: [
      {
        form: ENCAP,
        decode(b) {
          const packetType = b.u32(12);
          if (!HEADERS.some((h) => h.packetType === packetType)) {
            throw new OfpError(OFPERR.NXBAC_BAD_HEADER_TYPE, `packet type 0x${packetType.toString(16)}`);
          }
          const props: EncapProp[] = [];
          for (let at = 16; at < b.size; ) {
            const { prop, end } = readProp(b, at);
            props.push(prop);
            at = end;
          }
          return { kind: 'encap', packetType, headerSize: b.u16(10), props };
        },
      },
    ],
    encode(a, { version, out }) {
      const at = out.action(ENCAP, version);
      out.setU16(at + 10, a.headerSize);
      out.setU32(at + 12, a.packetType);
      for (const prop of a.props) putProp(out, prop);
      out.finish(at);
    },
    format(a) {
      const name = HEADERS.find((h) => h.packetType === a.packetType)?.name ?? 'UNKNOWN';
      return `encap(${name}${a.props.length === 0 ? '' : `(${a.props.map(formatProp).join(',')})`})`;
    },
    parse: {
      encap(arg, c) {
        c.usable &= OFPUTIL_P.OF13_UP;
        return parseEncap(arg);
      },
    },
  }),
  row<OfpactDecap>({
    kind: 'decap',
    decoders: [
      {
        form: DECAP,
        decode(b) {
          if (b.size > 16) throw new OfpError(OFPERR.NXBAC_UNKNOWN_ED_PROP, 'decap with properties');
          return { kind: 'decap', newPacketType: b.u32(12) };
        },
      },
    ],
    encode(a, { version, out }) {
      out.setU32(out.action(DECAP, version) + 12, a.newPacketType);
    },
    format(a) {
      if (a.newPacketType === USE_NEXT_PROTO) return 'decap()';
      return `decap(packet_type(ns=${a.newPacketType >>> 16},type=${formatHex(a.newPacketType & 0xffff)}))`;
    },
    parse: {
      decap(arg) {
        const kv = new KeyValues(arg);
        if (!kv.next()) return { kind: 'decap', newPacketType: USE_NEXT_PROTO };
        if (kv.key !== 'packet_type') throw new OfpTextError(`Invalid decap argument: ${kv.key}`);
        return { kind: 'decap', newPacketType: parsePacketType(kv.value) };
      },
    },
  }),
];
