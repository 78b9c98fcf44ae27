/**
 * Packets for controllers: what a packet_in says of one that the datapath sent up for a `controller` action, and, if translation paused
 * there, what it needs to go on.
 *
 * The action's cookie has a recirculation id, whose state (`recirc.ts`) has the pipeline as it was at the action; the packet's flow
 * has the rest.  A connection makes messages of it: how much of the packet, which version, what `connmgr/` decides.
 * Source: ofproto/ofproto-dpif-upcall.c (process_upcall), lib/flow.c (flow_get_metadata).
 */
import { FIELD, type FieldName, TUN_F } from '../flow/fields.ts';
import { type FlowKey, getField, isFieldSet, newFlow, setField } from '../flow/flow-key.ts';
import type { ControllerCookie } from '../odp/user-action-cookie.ts';
import { mfGet, mfHasTunMetadata, mfMaskField, mfSet } from '../openflow/fields/mf-value.ts';
import { unbindMatch } from '../openflow/fields/tlv-bind.ts';
import { TlvTable } from '../openflow/fields/tlv-table.ts';
import { type Match, newMatch } from '../openflow/match/match.ts';
import { UNKNOWN32 } from '../openflow/messages/flow/flow-types.ts';
import { clearConntrack, type FrozenState, thawMetadata } from './xlate/recirc.ts';
import { bitsOf } from './xlate/wildcards.ts';
import type { PacketInEvent } from './xlate/xbridge.ts';

/** What is told if it is not 0. */
// biome-ignore format: table
const TOLD = ([
  'tunId', 'tunSrc', 'tunDst', 'tunIpv6Src', 'tunIpv6Dst', 'tunGbpId', 'tunGbpFlags', 'tunErspanVer', 'tunErspanIndex',
  'tunErspanDir', 'tunErspanHwid', 'tunGtpuFlags', 'tunGtpuMsgtype', 'metadata', 'reg0', 'reg1', 'reg2', 'reg3', 'reg4', 'reg5',
  'reg6', 'reg7', 'reg8', 'reg9', 'reg10', 'reg11', 'reg12', 'reg13', 'reg14', 'reg15', 'skbMark', 'packetType', 'ctState',
  'ctZone', 'ctMark', 'ctLabels',
] as const satisfies readonly FieldName[]).map((name) => FIELD[name]);
const CT_PORTS = ['ctNwProto', 'ctTpSrc', 'ctTpDst'] as const satisfies readonly FieldName[];
// biome-ignore format: table
const CT_TUPLE: Readonly<Record<number, readonly FieldName[]>> = {
  2048: ['ctNwSrc', 'ctNwDst', ...CT_PORTS],
  34525: ['ctIpv6Src', 'ctIpv6Dst', ...CT_PORTS],
};

/** The metadata of a packet of an OpenFlow pipeline: its port, and what else is not 0; fields of tun_metadata by `tlvTable`. */
export function metadataMatch(flow: FlowKey, tlvTable = new TlvTable()): Match {
  const match = newMatch();
  const tell = (name: FieldName): void => {
    const { words, bits } = bitsOf(FIELD[name]);
    words.forEach((w, i) => {
      match.flow[w] = (match.flow[w] as number) | ((flow[w] as number) & (bits[i] as number));
      match.mask[w] = (match.mask[w] as number) | (bits[i] as number);
    });
  };
  tell('inPort');
  for (const f of TOLD) if (isFieldSet(flow, f)) tell(f.name as FieldName);
  const isOam = (getField(flow, FIELD.tunFlags) & TUN_F.OAM) !== 0;
  if (isOam) for (const words of [match.flow, match.mask]) setField(words, FIELD.tunFlags, TUN_F.OAM);
  for (const field of tlvTable.fields) {
    if (!mfHasTunMetadata(field, flow)) continue;
    mfSet(field, mfGet(field, flow), match.flow);
    mfMaskField(field, match.mask);
  }
  if (getField(flow, FIELD.ctState) === 0) return unbindMatch(match, tlvTable);
  // Without the type, the tuple would mean nothing.
  tell('ethType');
  const tuple = getField(flow, FIELD.ctNwProto) === 0 ? undefined : CT_TUPLE[getField(flow, FIELD.ethType)];
  for (const name of tuple ?? []) tell(name);
  return unbindMatch(match, tlvTable);
}

/**
 * `key` is the packet's as the datapath has it, `state` what the cookie's id stands for.  The packet is copied.
 */
export function packetInOf(
  cookie: ControllerCookie,
  state: FrozenState,
  packet: Uint8Array,
  key: FlowKey,
): PacketInEvent {
  const flow = newFlow();
  flow.set(key);
  if (!state.conntracked) clearConntrack(flow);
  thawMetadata(state, flow);
  return {
    packetIn: {
      packet: packet.slice(),
      totalLen: packet.length,
      bufferId: UNKNOWN32,
      flowMetadata: metadataMatch(flow, state.bridge.tlvTable),
      reason: cookie.reason,
      tableId: state.table,
      cookie: cookie.ruleCookie,
      userdata: state.userdata,
      continuation: undefined,
    },
    controllerId: cookie.controllerId,
    maxLen: cookie.maxLen,
    private: cookie.continuation
      ? {
          bridge: state.bridge.uuid,
          stack: state.stack,
          mirrors: state.mirrors,
          isConntracked: state.conntracked,
          actions: state.ofpacts,
          actionSet: state.actionSet,
          odpPort: getField(key, FIELD.inPort),
        }
      : undefined,
  };
}
