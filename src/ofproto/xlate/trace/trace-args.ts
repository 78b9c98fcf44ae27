/**
 * What `ofproto/trace` is asked: options, a flow of a bridge or of the datapath, and perhaps a packet.
 *
 *     [options] [dpname] odp_flow [packet]
 *     [options] bridge br_flow [packet]
 *
 * Source: ofproto/ofproto-dpif-trace.c (parse_flow_and_packet), ovs-vswitchd(8).
 */
import { FIELD as F, OVS_FRAG_TYPE } from '../../../flow/fields.ts';
import { composeFlow } from '../../../flow/flow-compose.ts';
import { type FlowKey, getField, newFlow, setField } from '../../../flow/flow-key.ts';
import { ODP_FIT, type OdpKeyReport } from '../../../odp/key/fitness.ts';
import { odpKeyToFlow } from '../../../odp/key/odp-key.ts';
import { parseOdpFlow } from '../../../odp/text/odp-parse-key.ts';
import { OdpParseError } from '../../../odp/text/odp-text-scan.ts';
import { FLAGS, formatMaskedFlags } from '../../../openflow/fields/masked-text.ts';
import { parseExactFlow } from '../../../openflow/match/flow-parse.ts';
import { NameMap } from '../../../openflow/ofp-names.ts';
import { atoi, OfpTextError, tokens } from '../../../openflow/ofp-text.ts';
import type { Ofport } from '../../ofproto-provider.ts';
import { markTunnel } from '../../tunnel/tunnel-table.ts';
import type { BridgeLookup } from '../../udpif/udpif-state.ts';
import { flowOfPacket } from '../packet-flow.ts';
import { originOf } from '../packet-origin.ts';
import { optionsToFields } from '../tunnel-options.ts';
import type { XBridge } from '../xbridge.ts';

/** What is wrong with the arguments, as the person who gave them is told. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
}

export type TraceBridge = XBridge & { readonly ports: ReadonlyMap<string, Ofport> };

/** Where packets are traced. */
export interface TraceWorld {
  /** "system" or the like: the kind of the one datapath. */
  readonly type: string;
  readonly bridges: ReadonlyMap<string, TraceBridge>;
  readonly lookup: BridgeLookup;
  /** Of the datapath, by name. */
  readonly dpPorts: ReadonlyMap<string, number>;
}

export interface TraceRequest {
  readonly world: TraceWorld;
  readonly bridge: XBridge;
  /** Of OF_FLOW_WORDS; `inPort` is the OpenFlow port, nwFrag that of OpenFlow. */
  readonly flow: FlowKey;
  readonly packet: Uint8Array | undefined;
  /** Of connections, one for each time that the packet comes back from connection tracking. */
  readonly nextCtStates: number[];
  readonly isConsistent: boolean;
  readonly hasNames: boolean;
}

/** CS_* of ct_state. */
const CS = { NEW: 0x01, ESTABLISHED: 0x02, REPLY_DIR: 0x08, INVALID: 0x10, TRACKED: 0x20 };
const DEFAULT_L7_SIZE = 64;
const MAX_L7_SIZE = 64000;
const ETH_HEADER_SIZE = 14;
const MAX_ARGS = 3;
const OF_FRAG_LATER = 3;

/** `new|trk`. */
export const formatCtState = (state: number): string => formatMaskedFlags(FLAGS.ctState, state, 0xff, 0xff);

/** The bytes of hexadecimal digits with blanks between them; undefined if there is something else. */
function bytesOfHex(text: string): Uint8Array | undefined {
  const found = /^(?:[ \t\r\n]*[0-9a-f]{2})*[ \t\r\n]*$/i.test(text);
  return found ? Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex')) : undefined;
}

function frameOfHex(text: string): Uint8Array | string {
  const bytes = bytesOfHex(text);
  if (bytes === undefined) return 'Trailing garbage in packet data';
  return bytes.length < ETH_HEADER_SIZE ? 'Packet data too short for Ethernet' : bytes;
}

/** Reads `trk,new`.  Throws TraceError. */
function parseCtState(text: string): number {
  let state = 0;
  for (const word of tokens(text, ', ')) {
    const bit = FLAGS.ctState.names.indexOf(word as (typeof FLAGS.ctState.names)[number]);
    if (bit < 0) throw new TraceError(`${word}: unknown connection tracking state flag`);
    state |= 1 << bit;
  }
  const has = (bits: number): boolean => (state & bits) === bits;
  const problems: string[] = [];
  if (state !== 0 && !has(CS.TRACKED)) problems.push('If "trk" is unset, no other flags are set');
  if (has(CS.INVALID) && (state & ~(CS.TRACKED | CS.INVALID)) !== 0) {
    problems.push('when "inv" is set, only "trk" may also be set');
  }
  if (has(CS.NEW | CS.ESTABLISHED)) problems.push('"new" and "est" are mutually exclusive');
  if (has(CS.NEW | CS.REPLY_DIR)) problems.push('"new" and "rpy" are mutually exclusive');
  const lines = problems.map((p) => `${formatCtState(state)}: invalid connection state: ${p}\n`);
  if (lines.length > 0) throw new TraceError(lines.join(''));
  return state;
}

interface Options {
  readonly words: string[];
  readonly nextCtStates: number[];
  isGenerated: boolean;
  l7: number | Uint8Array;
  isConsistent: boolean;
  hasNames: boolean;
}

function parseL7Size(text: string): number {
  const size = atoi(text, 32) | 0;
  if (size < 0 || size > MAX_L7_SIZE) throw new TraceError(`${text}: too much L7 data`);
  return size;
}

function parseOptions(args: readonly string[], isPacketOut: boolean): Options {
  const o: Options = {
    words: [],
    nextCtStates: [],
    isGenerated: false,
    l7: DEFAULT_L7_SIZE,
    isConsistent: false,
    hasNames: false,
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const value = (): string => {
      const next = args[++i];
      if (next === undefined) throw new TraceError(`Missing argument for option ${arg}`);
      return next;
    };
    const option = arg.startsWith('--') ? arg.slice(1) : arg;
    if (option === '-generate') o.isGenerated = true;
    else if (option === '-consistent' && isPacketOut) o.isConsistent = true;
    else if (option === '-names') o.hasNames = true;
    else if (arg === '--l7') {
      const bytes = bytesOfHex(value());
      if (bytes === undefined) throw new TraceError('Trailing garbage in packet data');
      o.l7 = bytes;
    } else if (arg === '--l7-len') o.l7 = parseL7Size(value());
    else if (arg === '--ct-next') o.nextCtStates.push(parseCtState(value()));
    else if (arg.startsWith('-')) throw new TraceError(`${arg}: unknown option`);
    else if (o.words.length >= MAX_ARGS) throw new TraceError('too many arguments');
    else o.words.push(arg);
  }
  return o;
}

/** Reads a flow of the datapath; its text's error if it is none. */
function parseKey(text: string, ports: ReadonlyMap<string, number> | undefined): Uint8Array | string {
  try {
    return parseOdpFlow(text, { portNumbers: ports }).key;
  } catch (error) {
    if (!(error instanceof OdpParseError)) throw error;
    return error.what === 'ufid' ? `syntax error at ${text}` : error.message;
  }
}

interface From {
  readonly world: TraceWorld;
  readonly bridge: XBridge;
  readonly flow: FlowKey;
}

function fromKey(key: Uint8Array, world: TraceWorld): From {
  const dpFlow = newFlow();
  const why: OdpKeyReport = { error: undefined };
  if (odpKeyToFlow(key, dpFlow, undefined, why) === ODP_FIT.ERROR) throw new TraceError(why.error ?? '');
  const origin = originOf(world.lookup, dpFlow);
  if (typeof origin === 'string') throw new TraceError(origin);
  const { tlvTable } = origin.bridge;
  const hasOptions = getField(dpFlow, F.tunOptsSize) !== 0;
  if (hasOptions && tlvTable !== undefined && !optionsToFields(tlvTable, dpFlow)) {
    throw new TraceError('Failed to parse Geneve options');
  }
  setField(dpFlow, F.inPort, origin.ofport);
  return { world, bridge: origin.bridge, flow: dpFlow };
}

function fromText(name: string, text: string, world: TraceWorld | undefined): From {
  const bridge = world?.bridges.get(name);
  if (world === undefined || bridge === undefined) throw new TraceError(`${name}: unknown bridge`);
  try {
    const flow = parseExactFlow(text, { ports: portNamesOf(bridge) }, bridge.tlvTable);
    markTunnel(flow);
    return { world, bridge, flow };
  } catch (error) {
    if (error instanceof OfpTextError) throw new TraceError(`Bad openflow flow syntax: ${error.message}`);
    throw error;
  }
}

/** Names of a bridge's ports by OpenFlow number. */
export function portNamesOf(bridge: TraceBridge): NameMap {
  const names = new NameMap();
  for (const [name, { ofport }] of bridge.ports) names.set(ofport, name);
  return names;
}

/** What a later fragment is in flows of the datapath, and in those of OpenFlow. */
export function setFragment(flow: FlowKey, isOpenflow: boolean): void {
  const isLater = (getField(flow, F.nwFrag) & OVS_FRAG_TYPE.LATER) !== 0;
  if (isLater) setField(flow, F.nwFrag, isOpenflow ? OF_FRAG_LATER : OVS_FRAG_TYPE.LATER);
}

/** Reads the arguments.  `world` is undefined while there is no bridge.  Throws TraceError. */
export function parseTraceArgs(
  args: readonly string[],
  world: TraceWorld | undefined,
  isPacketOut: boolean,
): TraceRequest {
  const o = parseOptions(args, isPacketOut);
  const { words } = o;
  let packet: Uint8Array | undefined;
  if (!o.isGenerated && words.length > 1) {
    const frame = frameOfHex(words.at(-1) as string);
    if (typeof frame !== 'string') {
      packet = frame;
      words.pop();
    } else if (words.length > 2) throw new TraceError(frame);
  }
  const [first, second] = words;
  if (first === undefined || words.length > 2) throw new TraceError('Syntax error');

  const isDpNamed = second === undefined || first.replace(/^ovs-/, '') === world?.type;
  const backer = isDpNamed ? world : undefined;
  const key = parseKey(second ?? first, backer?.dpPorts);
  let from: From;
  if (typeof key !== 'string') {
    if (backer === undefined) throw new TraceError('Cannot find the datapath');
    from = fromKey(key, backer);
  } else if (second === undefined) throw new TraceError(`${key} (or the bridge name was omitted)`);
  else from = fromText(first, second, world);

  let { flow } = from;
  setFragment(flow, false);
  if (o.isGenerated) packet = composeFlow(flow, { payload: o.l7 });
  else if (packet !== undefined) flow = flowOfPacket(packet, flow);
  setFragment(flow, true);
  const { nextCtStates, isConsistent, hasNames } = o;
  return { world: from.world, bridge: from.bridge, flow, packet, nextCtStates, isConsistent, hasNames };
}
