/**
 * Flows of packets from text: `in_port=1,tcp,nw_dst=10.0.0.1,tp_dst=80`, values without masks; what is not said is 0.
 * Source: lib/ofp-flow.c (parse_ofp_exact_flow), ovs-vswitchd(8) (ofproto/trace).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField, newFlow, setField } from '../../flow/flow-key.ts';
import { mfByName } from '../fields/mf-fields.ts';
import { mfPrereqsOk } from '../fields/mf-prereqs.ts';
import { parseMfValue } from '../fields/mf-text.ts';
import { mfIsZero, mfSet } from '../fields/mf-value.ts';
import type { TlvTable } from '../fields/tlv-table.ts';
import { OfpError } from '../ofp-errors.ts';
import type { OfpNames } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { KeyValues, OfpTextError } from '../ofp-text.ts';
import { protocolNamed } from './match-parse.ts';

/**
 * Reads a flow of OF_FLOW_WORDS; without in_port it is OFPP.NONE's.  A field comes after what it needs.  A tun_metadata that `tlvTable` has not is
 * left out.  Throws OfpTextError.
 */
export function parseExactFlow(text: string, names: OfpNames = {}, tlvTable?: TlvTable): FlowKey {
  const flow = newFlow();
  const fail = (what: string): never => {
    throw new OfpTextError(`${text}: ${what}`);
  };
  for (const kv = new KeyValues(text); kv.next(); ) {
    const protocol = protocolNamed(kv.key);
    if (protocol === undefined) {
      setExact(flow, kv, text, names, tlvTable);
      continue;
    }
    const [ethType, ipProto = 0] = protocol;
    if (getField(flow, FIELD.ethType) !== 0) fail('Ethernet type set multiple times');
    setField(flow, FIELD.ethType, ethType);
    if (ipProto === 0) continue;
    if (getField(flow, FIELD.nwProto) !== 0) fail('network protocol set multiple times');
    setField(flow, FIELD.nwProto, ipProto);
  }
  if (getField(flow, FIELD.inPort) === 0) setField(flow, FIELD.inPort, OFPP.NONE);
  return flow;
}

function setExact(flow: FlowKey, kv: KeyValues, text: string, names: OfpNames, tlvTable?: TlvTable): void {
  const { key, value } = kv;
  const fail = (what: string): never => {
    throw new OfpTextError(`${text}: ${what}`);
  };
  const named = mfByName(key);
  if (named === undefined) throw new OfpTextError(`${text}: unknown field ${key}`);
  const field = named.special === 'tun-metadata' && tlvTable !== undefined ? tlvTable.wideFieldOf(named.index) : named;
  if (!mfPrereqsOk(field, flow)) fail(`prerequisites not met for setting ${key}`);
  if (!mfIsZero(field, flow)) fail(`field ${key} set multiple times`);
  try {
    mfSet(field, parseMfValue(field, value, names.ports), flow);
  } catch (error) {
    if (error instanceof OfpTextError || error instanceof OfpError || error instanceof RangeError) {
      fail(`bad value for ${key} (${error.message})`);
    }
    throw error;
  }
}
