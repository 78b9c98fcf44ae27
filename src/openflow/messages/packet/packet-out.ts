/**
 * packet_out: a controller sends a packet through a list of actions.
 * Source: OpenFlow 1.0.2 5.3.6, 1.1.0 A.3.7, 1.5.1 7.3.6, lib/ofp-packet.c.
 */
import { getBits, setBits } from '../../../flow/bits.ts';
import { FIELD } from '../../../flow/fields.ts';
import { decodeActions, encodeActions } from '../../actions/index.ts';
import { newMatch } from '../../match/match.ts';
import { decodeMatch, encodeMatch } from '../../match/match-codec.ts';
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { OFPP } from '../../ofp-port.ts';
import { type Match, type PacketOut, UNKNOWN32 } from '../flow/flow-types.ts';
import type { BodyCodec, BodyIn, Codecs } from '../wire/body.ts';

const IN_PORT = FIELD.inPort;
const PACKET_TYPE = FIELD.packetType;
const inPortOf = ({ flow }: Match): number => getBits(flow, IN_PORT.at, IN_PORT.bits);

/** An Ethernet packet that came in at a port. */
function metadataOf(inPort: number): Match {
  const match = newMatch();
  setBits(match.mask, PACKET_TYPE.at, PACKET_TYPE.bits, 2 ** PACKET_TYPE.bits - 1);
  setBits(match.flow, IN_PORT.at, IN_PORT.bits, inPort);
  setBits(match.mask, IN_PORT.at, IN_PORT.bits, 2 ** IN_PORT.bits - 1);
  return match;
}

/** Metadata, where the actions begin and how many bytes they have. */
function decodeHead({ version, dv, at, bytes }: BodyIn) {
  if (version === 1) {
    return { flowMetadata: metadataOf(dv.getUint16(at + 4)), actionsAt: at + 8, actionsSize: dv.getUint16(at + 6) };
  }
  if (version <= 5) {
    const flowMetadata = metadataOf(portFromOfp11(dv.getUint32(at + 4)));
    return { flowMetadata, actionsAt: at + 16, actionsSize: dv.getUint16(at + 8) };
  }
  const { match, size } = decodeMatch(version, bytes, at + 8, { isLoose: true, pipelineOnly: true });
  if (getBits(match.mask, IN_PORT.at, IN_PORT.bits) === 0) {
    throw new OfpError(OFPERR.OFPBRC_BAD_PORT, 'packet_out: no in_port');
  }
  return { flowMetadata: match, actionsAt: at + 8 + size, actionsSize: dv.getUint16(at + 4) };
}

const packetOut: BodyCodec<PacketOut> = {
  decode(m) {
    const { version, dv, at, bytes } = m;
    const { flowMetadata, actionsAt, actionsSize } = decodeHead(m);
    const end = actionsAt + actionsSize;
    if (end > bytes.length) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `packet_out: ${actionsSize} bytes of actions`);
    const ofpacts = decodeActions(version, bytes.subarray(actionsAt, end));
    const inPort = inPortOf(flowMetadata);
    if (inPort >= OFPP.MAX && inPort !== OFPP.LOCAL && inPort !== OFPP.NONE && inPort !== OFPP.CONTROLLER) {
      throw new OfpError(OFPERR.OFPBRC_BAD_PORT, `packet_out: in_port ${inPort}`);
    }
    const bufferId = dv.getUint32(at);
    return { packet: bufferId === UNKNOWN32 ? bytes.slice(end) : new Uint8Array(), bufferId, flowMetadata, ofpacts };
  },
  encode(po, { version, out }) {
    const actions = encodeActions(po.ofpacts, version);
    const inPort = inPortOf(po.flowMetadata);
    out.u32(po.bufferId);
    if (version === 1) out.u16(inPort);
    else if (version <= 5) out.u32(portToOfp11(inPort));
    out.u16(actions.length);
    if (version >= 6) {
      out.u16(0);
      out.put(encodeMatch(version, po.flowMetadata));
    } else if (version > 1) out.room(6);
    out.put(actions);
    if (po.bufferId === UNKNOWN32) out.put(po.packet);
  },
};

export const PACKET_OUT_CODECS = { packet_out: packetOut } satisfies Partial<Codecs>;
