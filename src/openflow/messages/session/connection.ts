/**
 * Messages about the connection itself: hello, errors, echoes, barriers, roles.
 * Source: OpenFlow 1.5.1 7.5, lib/ofp-errors.c, lib/ofp-connection.c, nicira-ext.h (nx_vendor_error, nx_role_request).
 */
import { OFPERR, type OfpErr, type OfpErrCode, OfpError, ofpErrByCode, VENDOR } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import { decodeHello, encodeHello } from '../../ofp-version.ts';
import {
  type EchoMsg,
  type ErrorMsg,
  type HelloMsg,
  ROLE,
  type RoleMsg,
  type RoleStatus,
  UNKNOWN64,
} from '../flow/flow-types.ts';
import { type BodyCodec, type BodyIn, type Codecs, NO_BODY } from '../wire/body.ts';

const HEADER_SIZE = 8;
/** OpenFlow 1.0 and 1.1: an experimenter's error has this type and code, then vendor, type and code. */
const NXET_VENDOR = 0xb0c2;
const NXVC_VENDOR_ERROR = 0;
/** From OpenFlow 1.2 on: the code is the experimenter's type, then the experimenter. */
const OFPET_EXPERIMENTER = 0xffff;

const hello: BodyCodec<HelloMsg> = {
  decode: ({ bytes }) => ({ versions: decodeHello(bytes).versions }),
  encode({ versions }, { version, out }) {
    out.put(encodeHello(versions, 0, version).subarray(HEADER_SIZE));
  },
};

/** The numbers of an error message, and where its data begins; undefined: it is cut short. */
function errorCode({ dv, at }: BodyIn): { readonly code: OfpErrCode; readonly end: number } | undefined {
  const type = dv.getUint16(at);
  const code = dv.getUint16(at + 2);
  const left = dv.byteLength - at - 4;
  if (type === NXET_VENDOR && code === NXVC_VENDOR_ERROR) {
    if (left < 8) return undefined;
    const vendor = dv.getUint32(at + 4);
    return { code: { vendor, type: dv.getUint16(at + 8), code: dv.getUint16(at + 10) }, end: at + 12 };
  }
  if (type === OFPET_EXPERIMENTER) {
    if (left < 4) return undefined;
    return { code: { vendor: dv.getUint32(at + 4), type: code, code: 0 }, end: at + 8 };
  }
  return { code: { vendor: VENDOR.OF, type, code }, end: at + 4 };
}

const MAX_DATA = 0xffff - HEADER_SIZE - 12;

const error: BodyCodec<ErrorMsg> = {
  decode(m) {
    const found = errorCode(m);
    if (found === undefined) return { err: undefined, data: new Uint8Array() };
    const { vendor, type, code } = found.code;
    return { err: ofpErrByCode(m.version, vendor, type, code), data: m.bytes.slice(found.end) };
  },
  encode({ err, data }, { version, out }) {
    const known: OfpErr = err?.codes[version] === undefined ? OFPERR.NXBRC_UNENCODABLE_ERROR : err;
    const { vendor, type, code } = known.codes[version] as OfpErrCode;
    if (vendor === VENDOR.OF) {
      out.u16(type);
      out.u16(code);
    } else if (version <= 2) {
      out.u16(NXET_VENDOR);
      out.u16(NXVC_VENDOR_ERROR);
      out.u32(vendor);
      out.u16(type);
      out.u16(code);
    } else {
      out.u16(OFPET_EXPERIMENTER);
      out.u16(type);
      out.u32(vendor);
    }
    out.put(data.subarray(0, MAX_DATA));
  },
};

const echo: BodyCodec<EchoMsg> = {
  decode: ({ bytes, at }) => ({ data: bytes.slice(at) }),
  encode({ data }, { out }) {
    out.put(data);
  },
};

/** Throws OfpError unless `role` is one of ROLE. */
function checkRole(role: number): number {
  if (role <= ROLE.SECONDARY) return role;
  throw new OfpError(OFPERR.OFPRRFC_BAD_ROLE, `role ${role}, want at most ${ROLE.SECONDARY}`);
}

const role: BodyCodec<RoleMsg> = {
  decode({ raw, dv, at }) {
    // Nicira's roles are other (equal), primary, secondary, and no generation.
    if (raw.class === 'NXT') {
      const wire = dv.getUint32(at);
      if (wire > ROLE.SECONDARY - 1) throw new OfpError(OFPERR.OFPRRFC_BAD_ROLE, `Nicira role ${wire}, want at most 2`);
      return { role: wire + 1, generationId: undefined };
    }
    const value = checkRole(dv.getUint32(at));
    const generationId = dv.getBigUint64(at + 8);
    const isNone = raw === OFPRAW.OFPT12_ROLE_REQUEST ? value === ROLE.NOCHANGE : generationId === UNKNOWN64;
    return { role: value, generationId: isNone ? undefined : generationId };
  },
  encode({ role: value, generationId }, { raw, out }) {
    if (raw.class === 'NXT') {
      if (value === ROLE.NOCHANGE) throw new RangeError(`${raw.name}: role "nochange" needs OpenFlow 1.2`);
      out.u32(value - 1);
      return;
    }
    out.u32(value);
    out.u32(0);
    // A request without generation has none to tell; the field is there nevertheless.
    out.u64(generationId ?? (raw === OFPRAW.OFPT12_ROLE_REQUEST ? 0n : UNKNOWN64));
  },
};

const roleStatus: BodyCodec<RoleStatus> = {
  decode: ({ dv, at }) => ({
    role: checkRole(dv.getUint32(at)),
    reason: dv.getUint8(at + 4),
    generationId: dv.getBigUint64(at + 8),
  }),
  encode(status, { out }) {
    const at = out.room(16);
    out.dv.setUint32(at, status.role);
    out.dv.setUint8(at + 4, status.reason);
    out.dv.setBigUint64(at + 8, status.generationId);
  },
};

export const CONNECTION_CODECS = {
  hello,
  error,
  echo_request: echo,
  echo_reply: echo,
  barrier_request: NO_BODY,
  get_async_request: NO_BODY,
  barrier_reply: NO_BODY,
  role_request: role,
  role_reply: role,
  role_status: roleStatus,
} satisfies Partial<Codecs>;
