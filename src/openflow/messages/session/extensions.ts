/**
 * Small messages: Nicira's settings of a connection, flushing a conntrack zone, cancelling a monitor, control of bundles.
 * Source: include/openflow/nicira-ext.h, OpenFlow 1.4.1 A.3.9.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { BundleControl } from '../flow/flow-types.ts';
import { type BodyCodec, type Codecs, NO_BODY } from '../wire/body.ts';

const word: BodyCodec<number> = {
  decode: ({ dv, at }) => dv.getUint32(at),
  encode(value, { out }) {
    out.u32(value);
  },
};

/** 16 bits after 6 bytes of zeros. */
const lastHalf: BodyCodec<number> = {
  decode({ raw, dv, at }) {
    if (dv.getUint32(at) !== 0 || dv.getUint16(at + 4) !== 0) {
      throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO, `${raw.text}: padding is not zero`);
    }
    return dv.getUint16(at + 6);
  },
  encode(value, { out }) {
    out.room(6);
    out.u16(value);
  },
};

const flowModTableId: BodyCodec<boolean> = {
  decode: ({ dv, at }) => dv.getUint8(at) !== 0,
  encode(isOn, { out }) {
    out.u8(isOn ? 1 : 0);
    out.room(7);
  },
};

const bundleControl: BodyCodec<BundleControl> = {
  decode: ({ dv, at }) => ({ bundleId: dv.getUint32(at), type: dv.getUint16(at + 4), flags: dv.getUint16(at + 6) }),
  encode({ bundleId, type, flags }, { out }) {
    out.u32(bundleId);
    out.u16(type);
    out.u16(flags);
  },
};

export const EXTENSION_CODECS = {
  set_flow_format: word,
  set_packet_in_format: word,
  flow_monitor_cancel: word,
  flow_monitor_paused: NO_BODY,
  flow_monitor_resumed: NO_BODY,
  flow_age: NO_BODY,
  set_controller_id: lastHalf,
  ct_flush_zone: lastHalf,
  flow_mod_table_id: flowModTableId,
  bundle_control: bundleControl,
} satisfies Partial<Codecs>;
