/**
 * Messages that have a message in them: bundle_add_message, and requestforward, which tells controllers what another one asked for.
 *
 * The inner message is whole, with a header of its own.  A bundle keeps its bytes; what is forwarded is read at once.
 * Source: OpenFlow 1.5.1 7.3.9.6, 7.4.6, lib/ofp-bundle.c, lib/ofp-monitor.c.
 */
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { decodeHeader, OFP_HEADER_SIZE } from '../../ofp-header.ts';
import type { OfKind } from '../../ofp-msgs.ts';
import type { BundleAdd } from '../flow/flow-types.ts';
import type { OfMessage } from '../of-message.ts';
import type { RequestForward } from '../switch/switch-types.ts';
import type { BodyCodec, BodyIn, Codecs } from '../wire/body.ts';

/** What can be done as part of a bundle. */
const BUNDLED: ReadonlySet<OfKind> = new Set(['port_mod', 'flow_mod', 'group_mod', 'packet_out']);

/** The bytes of the message at `at`, a view.  Throws OfpError: `version` if its version is another, OFPBFC_MSG_BAD_LEN. */
function innerMessage(m: BodyIn, at: number, version: 'OFPBFC_BAD_VERSION' | 'OFPBRC_BAD_VERSION'): Uint8Array {
  const left = m.bytes.length - at;
  const size = left < OFP_HEADER_SIZE ? 0 : m.dv.getUint16(at + 2);
  const isSized = size >= OFP_HEADER_SIZE && size <= left;
  if (left >= OFP_HEADER_SIZE && m.dv.getUint8(at) !== m.version && (isSized || version === 'OFPBFC_BAD_VERSION')) {
    throw new OfpError(OFPERR[version], `${m.raw.text}: message of version ${m.dv.getUint8(at)} in it`);
  }
  if (!isSized) throw new OfpError(OFPERR.OFPBFC_MSG_BAD_LEN, `${m.raw.text}: message of ${size} bytes in ${left}`);
  return m.bytes.subarray(at, at + size);
}

function bundledKind(message: Uint8Array): OfKind | undefined {
  try {
    return decodeHeader(new DataView(message.buffer, message.byteOffset, message.byteLength)).raw.kind;
  } catch (error) {
    if (error instanceof OfpError) return undefined; // What is no message is none that a bundle can have.
    throw error;
  }
}

const bundleAdd: BodyCodec<BundleAdd> = {
  decode(m) {
    const { raw, dv, at } = m;
    const message = innerMessage(m, at + 8, 'OFPBFC_BAD_VERSION');
    if (dv.getUint32(at + 12) !== dv.getUint32(4)) {
      throw new OfpError(OFPERR.OFPBFC_MSG_BAD_XID, `${raw.text}: xid ${dv.getUint32(at + 12)} in ${dv.getUint32(4)}`);
    }
    const kind = bundledKind(message);
    if (kind === undefined || !BUNDLED.has(kind)) {
      throw new OfpError(OFPERR.OFPBFC_MSG_UNSUP, `${raw.text}: ${kind ?? 'no message that is known'} in it`);
    }
    return { bundleId: dv.getUint32(at), flags: dv.getUint16(at + 6), message };
  },
  encode({ bundleId, flags, message }, { out }) {
    out.u32(bundleId);
    out.u16(0);
    out.u16(flags);
    out.put(message);
  },
};

/** How inner messages are read and written: `codec.ts`, which has the codecs of all kinds, gives this to the one of requestforward. */
export interface InnerCodec {
  /** Throws OfpError. */
  decode(bytes: Uint8Array): OfMessage;
  encode(request: RequestForward, version: OfVersion): Uint8Array;
}

export const nestedCodecs = (inner: InnerCodec) =>
  ({
    bundle_add_message: bundleAdd,
    requestforward: {
      decode(m) {
        const { kind, xid, body } = inner.decode(innerMessage(m, m.at, 'OFPBRC_BAD_VERSION'));
        if (kind === 'group_mod') return { reason: kind, xid, groupMod: body };
        if (kind === 'meter_mod') return { reason: kind, xid, meterMod: body };
        throw new OfpError(OFPERR.OFPBFC_MSG_UNSUP, `${m.raw.text}: ${kind} in it`);
      },
      encode(request, { version, out }) {
        out.put(inner.encode(request, version));
      },
    } satisfies BodyCodec<RequestForward>,
  }) satisfies Partial<Codecs>;
