/**
 * Messages about the switch as a whole: features, configuration, description, what its ports are.
 * Source: OpenFlow 1.0.2 5.3.1, 5.3.2, 1.5.1 7.3.1, 7.3.2, 7.3.5.1, lib/ofp-switch.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { OFP_MAX_SIZE } from '../../ofp-header.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import { decodePhyPort, encodePhyPort } from '../port/phy-port.ts';
import { type BodyCodec, type Codecs, getString, NO_BODY, putString } from '../wire/body.ts';
import { decodeActionBits, encodeActionBits } from './action-bits.ts';
import { CAPABILITY, type DescStats, type PhyPort, type SwitchConfig, type SwitchFeatures } from './switch-types.ts';

/** Bit 3 is STP in 1.0, and statistics of groups from 1.1 on. */
const BIT3 = 1 << 3;
const COMMON = 0x67;

/** Bits that mean the same in all versions that have them. */
function capabilityMask(version: number): number {
  if (version <= 2) return COMMON | CAPABILITY.ARP_MATCH_IP;
  const of12 = COMMON | CAPABILITY.PORT_BLOCKED;
  return version <= 4 ? of12 : of12 | CAPABILITY.BUNDLES | CAPABILITY.FLOW_MONITORING;
}

const featuresReply: BodyCodec<SwitchFeatures> = {
  decode(m) {
    const { dv, at, version, bytes } = m;
    const bits = dv.getUint32(at + 16);
    const bit3 = version === 1 ? CAPABILITY.STP : CAPABILITY.GROUP_STATS;
    const ports: PhyPort[] = [];
    if (version <= 3) {
      const push = (port: PhyPort): void => {
        ports.push(port);
      };
      for (let next = at + 24; next < bytes.length; ) next = decodePhyPort(m, next, push);
    }
    return {
      datapathId: dv.getBigUint64(at),
      nBuffers: dv.getUint32(at + 8),
      nTables: dv.getUint8(at + 12),
      auxiliaryId: version >= 4 ? dv.getUint8(at + 13) : 0,
      capabilities: (bits & capabilityMask(version)) | ((bits & BIT3) !== 0 ? bit3 : 0),
      actions: version === 1 ? decodeActionBits(dv.getUint32(at + 20), version) : [],
      ports: version <= 3 ? ports : undefined,
    };
  },
  encode(f, m) {
    const { out, version } = m;
    const at = out.room(24);
    const bit3 = version === 1 ? CAPABILITY.STP : CAPABILITY.GROUP_STATS;
    out.dv.setBigUint64(at, f.datapathId);
    out.dv.setUint32(at + 8, f.nBuffers);
    out.dv.setUint8(at + 12, f.nTables);
    if (version >= 4) out.dv.setUint8(at + 13, f.auxiliaryId);
    out.dv.setUint32(at + 16, (f.capabilities & capabilityMask(version)) | ((f.capabilities & bit3) !== 0 ? BIT3 : 0));
    if (version === 1) out.dv.setUint32(at + 20, encodeActionBits(f.actions, version));
    if (version >= 4) return;
    for (const port of f.ports ?? []) {
      const before = out.size;
      encodePhyPort(port, m);
      // Ports that find no room are left out: whoever wants all of them asks for port_desc.
      if (out.size > OFP_MAX_SIZE) out.size = before;
    }
  },
};

const FRAG_MASK = 3;
const INVALID_TTL = 1 << 2;

const config: BodyCodec<SwitchConfig> = {
  decode({ raw, version, dv, at }) {
    const flags = dv.getUint16(at);
    const hasTtl = version <= 3;
    if (raw === OFPRAW.OFPT_SET_CONFIG && (flags & ~(FRAG_MASK | (hasTtl ? INVALID_TTL : 0))) !== 0) {
      throw new OfpError(OFPERR.OFPSCFC_BAD_FLAGS, `flags 0x${flags.toString(16)}`);
    }
    return {
      frag: flags & FRAG_MASK,
      invalidTtlToController: hasTtl ? (flags & INVALID_TTL) !== 0 : undefined,
      missSendLen: dv.getUint16(at + 2),
    };
  },
  encode(c, { version, out }) {
    out.u16(c.frag | (version <= 3 && c.invalidTtlToController === true ? INVALID_TTL : 0));
    out.u16(c.missSendLen);
  },
};

const DESC_SIZE = 256;
const SERIAL_SIZE = 32;

const descReply: BodyCodec<DescStats> = {
  decode: ({ bytes, at }) => ({
    mfrDesc: getString(bytes, at, DESC_SIZE - 1),
    hwDesc: getString(bytes, at + DESC_SIZE, DESC_SIZE - 1),
    swDesc: getString(bytes, at + 2 * DESC_SIZE, DESC_SIZE - 1),
    serialNum: getString(bytes, at + 3 * DESC_SIZE, SERIAL_SIZE - 1),
    dpDesc: getString(bytes, at + 3 * DESC_SIZE + SERIAL_SIZE, DESC_SIZE - 1),
  }),
  encode(d, { out }) {
    putString(out, d.mfrDesc, DESC_SIZE);
    putString(out, d.hwDesc, DESC_SIZE);
    putString(out, d.swDesc, DESC_SIZE);
    putString(out, d.serialNum, SERIAL_SIZE);
    putString(out, d.dpDesc, DESC_SIZE);
  },
};

export const SWITCH_CODECS = {
  features_request: NO_BODY,
  features_reply: featuresReply,
  get_config_request: NO_BODY,
  get_config_reply: config,
  set_config: config,
  desc_stats_request: NO_BODY,
  desc_stats_reply: descReply,
} satisfies Partial<Codecs>;
