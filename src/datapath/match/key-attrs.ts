/**
 * First step of reading a key nest: finding its OVS_KEY_ATTR_* attributes and holding their sizes against the table.
 * match.ts then makes a flow key of them.
 * Source: net/openvswitch/flow_netlink.c (__parse_flow_nlattrs, nlattr_set).
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS, OVS_TUNNEL_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ERRNO } from '../../util/errno.ts';

/** OVS_KEY_ATTR_MAX. */
const MAX_TYPE = K.IPV6_EXTHDRS;
/** ct_state flags that exist (OVS_CS_F_*). */
export const CT_SUPPORTED_MASK = 0xff;

/** The error for a key, mask or action that makes no sense: EINVAL, the reason for the log. */
export const invalid = (reason: string): NetlinkError => new NetlinkError(ERRNO.EINVAL, reason);

/**
 * The bit of attribute `type`, 1..32, in a set of attributes.  Sets are int32; number 0 (UNSPEC) has no bit: it is
 * refused where the kernel would refuse it a little later.
 */
export const attrBit = (type: number): number => 1 << (type - 1);

/** Expected payload sizes by attribute number; -1 is any, -2 a number that is refused. */
const SIZES = Int32Array.from({ length: MAX_TYPE + 1 }, (_, type) => {
  if (type === 0 || type === K.PACKET_TYPE || type === K.ND_EXTENSIONS || type === K.TUNNEL_INFO) return -2;
  return KEY_ROWS[type]?.size ?? -2;
});

function isZero(dv: DataView, at: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (dv.getUint8(at + i) !== 0) return false;
  return true;
}

/** Where the attributes of one key or mask are.  Reused: `reset` first. */
export class KeyAttrs {
  dv: DataView = new DataView(new ArrayBuffer(0));
  /** Set of those that were found, or rather, of those that nobody has used yet. */
  present = 0;
  private readonly offsets = new Int32Array(MAX_TYPE + 1);
  private readonly sizes = new Int32Array(MAX_TYPE + 1);

  reset(dv: DataView): void {
    this.dv = dv;
    this.present = 0;
  }

  /**
   * Adds the attributes of the nest `[at, at + size)`.  In a mask, ones whose payload is all zero count as absent.
   * Throws NetlinkError EINVAL for an attribute of unknown number or wrong size, or one that is there already.
   */
  parse(at: number, size: number, isMask: boolean): void {
    const { dv } = this;
    const end = at + size;
    while (end - at >= NLA_HDRLEN) {
      const len = dv.getUint16(at, LITTLE_ENDIAN);
      if (len < NLA_HDRLEN || len > end - at) break;
      const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
      if (type > MAX_TYPE) throw invalid(`key type ${type} is out of range, max ${MAX_TYPE}`);
      const want = SIZES[type]!;
      if (want === -2) throw invalid(`key type ${type} is not supported`);
      const bit = attrBit(type);
      if ((this.present & bit) !== 0) throw invalid(`duplicate key type ${type}`);
      const payload = len - NLA_HDRLEN;
      if (want !== -1 && payload !== want) throw invalid(`key type ${type} has ${payload} bytes, want ${want}`);
      if (!isMask || !isZero(dv, at + NLA_HDRLEN, payload)) {
        this.present |= bit;
        this.offsets[type] = at + NLA_HDRLEN;
        this.sizes[type] = payload;
      }
      at += nlaAlign(len);
    }
    if (at !== end) throw invalid(`key nest has ${end - at} bytes that are no attribute`);
  }

  has(type: number): boolean {
    return (this.present & attrBit(type)) !== 0;
  }
  /** Takes the attribute out of the set: it was used. */
  used(type: number): void {
    this.present &= ~attrBit(type);
  }
  at(type: number): number {
    return this.offsets[type]!;
  }
  size(type: number): number {
    return this.sizes[type]!;
  }
  /** A be16 attribute's value, or 0 if it was never there. */
  be16(type: number): number {
    return this.offsets[type] === 0 ? 0 : this.dv.getUint16(this.offsets[type]!);
  }
  /** Forgets where attributes were, so that `be16` means the ones of this message. */
  forget(): void {
    this.offsets.fill(0);
  }
}

/**
 * Sets every payload byte in the key nest `[at, end)` to 0xff, also inside nests: the mask of a flow that was sent
 * without one.  The nest was parsed before.
 */
export function fillWithOnes(dv: DataView, at: number, end: number): void {
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) return;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const payload = at + NLA_HDRLEN;
    if (type === K.ENCAP) fillWithOnes(dv, payload, at + len);
    else if (type === K.TUNNEL || type === K.NSH) fillInner(dv, payload, at + len, type === K.TUNNEL);
    else for (let i = payload; i < at + len; i++) dv.setUint8(i, 0xff);
    if (type === K.CT_STATE) dv.setUint32(payload, CT_SUPPORTED_MASK, LITTLE_ENDIAN);
    at += nlaAlign(len);
  }
}

/** The same inside a tunnel or NSH nest, whose only nest is a tunnel's VXLAN options. */
function fillInner(dv: DataView, at: number, end: number, isTunnel: boolean): void {
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) return;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    if (isTunnel && type === OVS_TUNNEL_KEY_ATTR.VXLAN_OPTS) fillInner(dv, at + NLA_HDRLEN, at + len, false);
    else for (let i = at + NLA_HDRLEN; i < at + len; i++) dv.setUint8(i, 0xff);
    at += nlaAlign(len);
  }
}
