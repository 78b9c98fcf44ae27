/**
 * The headers of OpenFlow messages: finding a message's form (`ofp-msgs.ts`), checking its length, and writing headers.
 *
 * ```
 *  0         1      2        4     8
 * | version | type | length | xid | ...                                       OFPT
 * | version | 4    | length | xid | vendor | subtype | ...                    NXT, ONFT
 * | 1       | 16,17| length | xid | stat | flags | ...                        OFPST of 1.0
 * | 1       | 16,17| length | xid | 0xffff | flags | vendor | subtype | 0 |   NXST of 1.0
 * | version | 18,19| length | xid | stat | flags | 0 | ...                    OFPST
 * | version | 18,19| length | xid | 0xffff | flags | 0 | vendor | subtype |   NXST, ONFST
 * ```
 * Source: OpenFlow 1.0.2 5.1, 5.3.5; OpenFlow 1.5.1 7.1, 7.3.5; lib/ofp-msgs.c.
 */
import { OFPERR, OfpError, type OfVersion, VENDOR } from './ofp-errors.ts';
import { OFPRAW, type OfpRaw, type OfpRawClass } from './ofp-msgs.ts';

/** struct ofp_header. */
export const OFP_HEADER_SIZE = 8;
/** A message's length has 16 bits. */
export const OFP_MAX_SIZE = 0xffff;
/** More parts follow: bit 0 of the flags of a multipart message. */
export const OFPMPF_MORE = 1;

const OFPT_VENDOR = 4;
const OFPST_VENDOR = 0xffff;
const STATS_REQUEST = { of10: 16, of11: 18 } as const;
const STATS_REPLY = { of10: 17, of11: 19 } as const;

// biome-ignore format: table
const CLASSES: Readonly<Record<OfpRawClass, { id: number; vendor: number }>> = {
  OFPT:  { id: 0, vendor: 0 },
  NXT:   { id: 1, vendor: VENDOR.NX },
  ONFT:  { id: 2, vendor: VENDOR.ONF },
  OFPST: { id: 3, vendor: 0 }, // and 4 for replies
  NXST:  { id: 5, vendor: VENDOR.NX },
  ONFST: { id: 7, vendor: VENDOR.ONF },
};

/** Bytes of the headers before the body. */
export function headersSize(raw: OfpRaw, version: number): number {
  switch (raw.class) {
    case 'OFPT':
      return OFP_HEADER_SIZE;
    case 'NXT':
    case 'ONFT':
      return 16;
    case 'OFPST':
      return version === 1 ? 12 : 16;
    default:
      return 24;
  }
}

const keyOf = (version: number, classId: number, number: number): number => (version << 24) | (classId << 16) | number;

const BY_KEY = new Map<number, OfpRaw>();
for (const raw of Object.values(OFPRAW)) {
  const id = CLASSES[raw.class].id + (raw.multipart === 'reply' ? 1 : 0);
  // Those of all versions are found by their type before this map is asked.
  for (let v = raw.minVersion; v <= Math.min(raw.maxVersion, 6); v++) BY_KEY.set(keyOf(v, id, raw.number), raw);
}
const OF_ALL_VERSIONS = Object.values(OFPRAW).filter((raw) => raw.maxVersion === 255);

/** What a message's headers say. */
export interface OfpHeader {
  readonly raw: OfpRaw;
  /** As on the wire: may be higher than OfVersion knows, for a hello, an error or an echo. */
  readonly version: number;
  readonly xid: number;
  /** Where the body begins. */
  readonly bodyAt: number;
  /** Of a multipart message; else 0. */
  readonly flags: number;
}

const isStatRequest = (version: number, type: number): boolean =>
  version === 1 ? type === STATS_REQUEST.of10 : type === STATS_REQUEST.of11;
const isStatReply = (version: number, type: number): boolean =>
  version === 1 ? type === STATS_REPLY.of10 : type === STATS_REPLY.of11;

/** Whether the message is a multipart request, by its first bytes. */
export const isMultipartRequest = (dv: DataView): boolean => isStatRequest(dv.getUint8(0), dv.getUint8(1));

function unknownForm(version: number, type: number, isVendor: boolean, number: number): OfpError {
  const message = `message of version ${version}, type ${type}: no form ${number}`;
  if (isVendor) return new OfpError(OFPERR.OFPBRC_BAD_SUBTYPE, message);
  const isStat = version <= 6 && (isStatRequest(version, type) || isStatReply(version, type));
  return new OfpError(isStat ? OFPERR.OFPBRC_BAD_STAT : OFPERR.OFPBRC_BAD_TYPE, message);
}

const badSize = (size: number, want: number): OfpError =>
  new OfpError(OFPERR.OFPBRC_BAD_LEN, `headers of ${size} bytes, want ${want}`);

/** Class of an experimenter's message; throws OfpError. */
function vendorClass(vendor: number, nx: number, onf: number): number {
  if (vendor === VENDOR.NX) return nx;
  if (vendor === VENDOR.ONF && onf >= 0) return onf;
  throw new OfpError(OFPERR.OFPBRC_BAD_VENDOR, `unknown vendor 0x${vendor.toString(16)}`);
}

/**
 * The form of the message that fills `dv`, and what its headers say.  Does not look at the body's length: a message inside of an error may
 * be cut short.  Throws OfpError: BAD_LEN, BAD_VENDOR, BAD_SUBTYPE, BAD_STAT, BAD_TYPE.
 */
export function decodeHeaderPartial(dv: DataView): OfpHeader {
  const size = dv.byteLength;
  if (size < OFP_HEADER_SIZE) throw badSize(size, OFP_HEADER_SIZE);
  const version = dv.getUint8(0);
  const type = dv.getUint8(1);
  const xid = dv.getUint32(4);

  for (const raw of OF_ALL_VERSIONS) {
    if (raw.number === type) return { raw, version, xid, bodyAt: OFP_HEADER_SIZE, flags: 0 };
  }
  let classId = 0;
  let number: number = type;
  let bodyAt = OFP_HEADER_SIZE;
  let flags = 0;
  if (type === OFPT_VENDOR) {
    bodyAt = 16;
    if (size < bodyAt) throw badSize(size, bodyAt);
    classId = vendorClass(dv.getUint32(8), CLASSES.NXT.id, CLASSES.ONFT.id);
    number = dv.getUint32(12);
  } else if (isStatRequest(version, type) || isStatReply(version, type)) {
    bodyAt = version === 1 ? 12 : 16;
    if (size < bodyAt) throw badSize(size, bodyAt);
    number = dv.getUint16(8);
    flags = dv.getUint16(10);
    classId = CLASSES.OFPST.id;
    if (number === OFPST_VENDOR) {
      const vendorAt = bodyAt;
      if (size < (version === 1 ? 16 : 24)) throw badSize(size, version === 1 ? 16 : 24);
      classId = vendorClass(dv.getUint32(vendorAt), CLASSES.NXST.id, version === 1 ? -1 : CLASSES.ONFST.id);
      bodyAt = 24;
      if (size < bodyAt) throw badSize(size, bodyAt);
      number = dv.getUint32(vendorAt + 4);
    }
    if (isStatReply(version, type)) classId++;
  }
  const raw = number > 0xffff || version > 6 ? undefined : BY_KEY.get(keyOf(version, classId, number));
  if (raw === undefined) {
    const isVendor = classId !== CLASSES.OFPT.id && classId !== CLASSES.OFPST.id && classId !== CLASSES.OFPST.id + 1;
    throw unknownForm(version, type, isVendor, number);
  }
  return { raw, version, xid, bodyAt, flags };
}

/** Throws OfpError BAD_LEN unless `bodySize` bytes can be a body of the form. */
export function checkBodySize(raw: OfpRaw, bodySize: number): void {
  const { minBody, multiple } = raw;
  if (bodySize === minBody) return;
  if (bodySize > minBody && multiple !== 0 && (bodySize - minBody) % multiple === 0) return;
  const more = multiple === 0 ? '' : multiple === 1 ? ' or more' : ` and a multiple of ${multiple}`;
  throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: body of ${bodySize} bytes, want ${minBody}${more}`);
}

/** As `decodeHeaderPartial`, and the body has a length that the form can have. */
export function decodeHeader(dv: DataView): OfpHeader {
  const header = decodeHeaderPartial(dv);
  checkBodySize(header.raw, dv.byteLength - header.bodyAt);
  return header;
}

/** Writes the headers at `at`, where there are zeros; the length is that of the headers alone.  Returns where the body begins. */
export function writeHeaders(dv: DataView, at: number, raw: OfpRaw, version: number, xid: number): number {
  const size = headersSize(raw, version);
  const { vendor } = CLASSES[raw.class];
  dv.setUint8(at, version);
  dv.setUint16(at + 2, size);
  dv.setUint32(at + 4, xid);
  if (raw.multipart !== undefined) {
    const types = raw.multipart === 'request' ? STATS_REQUEST : STATS_REPLY;
    dv.setUint8(at + 1, version === 1 ? types.of10 : types.of11);
    dv.setUint16(at + 8, vendor === 0 ? raw.number : OFPST_VENDOR);
    if (vendor !== 0) {
      const vendorAt = at + (version === 1 ? 12 : 16);
      dv.setUint32(vendorAt, vendor);
      dv.setUint32(vendorAt + 4, raw.number);
    }
  } else if (vendor !== 0) {
    dv.setUint8(at + 1, OFPT_VENDOR);
    dv.setUint32(at + 8, vendor);
    dv.setUint32(at + 12, raw.number);
  } else {
    dv.setUint8(at + 1, raw.number);
  }
  return at + size;
}

/** The form that answers a multipart request. */
export function replyRaw(request: OfpRaw, version: OfVersion): OfpRaw {
  const id = CLASSES[request.class].id + 1;
  const raw = request.multipart === 'request' ? BY_KEY.get(keyOf(version, id, request.number)) : undefined;
  if (raw === undefined) throw new RangeError(`${request.name}: no reply in version ${version}`);
  return raw;
}
