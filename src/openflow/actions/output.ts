/**
 * Actions that send a packet somewhere: output, output(port=,max_len=), group, controller, enqueue, and the choice of queues.
 * Source: OpenFlow 1.0.2 5.2.4, 1.5.1 7.2.6.1, include/openflow/nicira-ext.h, ovs-actions(7).
 */
import type { Subfield } from '../fields/mf-field.ts';
import { parseSubfield } from '../fields/mf-subfield.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatPort, parsePort, portFromOfp11, portToOfp11 } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { KeyValues, OfpTextError, parseU16, parseU32, scanHex } from '../ofp-text.ts';
import type {
  Ofpact,
  OfpactController,
  OfpactEnqueue,
  OfpactGroup,
  OfpactOutput,
  OfpactOutputTrunc,
  OfpactPlain,
  OfpactSetQueue,
} from '../ofpact.ts';
import { formatReason, OFPR_ACTION, parseReason } from './packet-in-reason.ts';
import { type ParseCtx, row } from './row.ts';
import { type ActionBytes, actionForm } from './wire.ts';

/** Throws OfpError (OFPBAC_BAD_OUT_PORT) unless packets may be sent there, in a switch with ports below `maxPorts`. */
export function checkOutputPort(port: number, maxPorts: number): void {
  const isReserved = port >= OFPP.IN_PORT && port !== OFPP.NONE;
  if (!isReserved && port >= maxPorts) throw new OfpError(OFPERR.OFPBAC_BAD_OUT_PORT, `port ${port}`);
}

const OUTPUT10 = actionForm('OFPAT_OUTPUT', 'OF1.0(0)', 8);
const OUTPUT11 = actionForm('OFPAT_OUTPUT', 'OF1.1+(0)', 16);
const OUTPUT_TRUNC = actionForm('NXAST_OUTPUT_TRUNC', 'NX1.0+(39)', 16);
const ETH_HEADER_SIZE = 14;

function outputTo(port: number, maxLen: number): OfpactOutput {
  checkOutputPort(port, OFPP.MAX);
  return { kind: 'output', port, maxLen };
}

/** An output to a port that was named as an action: `LOCAL`, `1`. */
export const outputToNamed = (port: number): OfpactOutput => ({ kind: 'output', port, maxLen: 0 });

function parseTrunc(arg: string, c: ParseCtx): OfpactOutputTrunc {
  let port = 0;
  let maxLen = 0;
  for (const kv = new KeyValues(arg); kv.next(); ) {
    if (kv.key === 'port') {
      const p = parsePort(kv.value, c.names.ports);
      if (p === undefined) throw new OfpTextError(`output to unknown truncate port: ${kv.value}`);
      if (p > OFPP.MAX && p !== OFPP.LOCAL && p !== OFPP.IN_PORT) {
        throw new OfpTextError(`output to unsupported truncate port: ${kv.value}`);
      }
      port = p;
    } else if (kv.key === 'max_len') {
      maxLen = parseU32(kv.value);
      if (maxLen < ETH_HEADER_SIZE) {
        throw new OfpTextError(`max_len ${maxLen} is less than the minimum value ${ETH_HEADER_SIZE}`);
      }
    } else throw new OfpTextError(`invalid key '${kv.key}' in output_trunc argument`);
  }
  return { kind: 'output_trunc', port, maxLen };
}

/** A subfield, if that is what `text` is. */
function subfieldOf(text: string): Subfield | undefined {
  try {
    return parseSubfield(text);
  } catch (error) {
    if (error instanceof OfpTextError) return undefined; // It is no port either: the caller says so.
    throw error;
  }
}

const output = row<OfpactOutput>({
  kind: 'output',
  decoders: [
    { form: OUTPUT10, decode: (b) => outputTo(b.u16(4), b.u16(6)) },
    { form: OUTPUT11, decode: (b) => outputTo(portFromOfp11(b.u32(4)), b.u16(8)) },
  ],
  encode(a, { version, out }) {
    if (version === 1) {
      const at = out.action(OUTPUT10, version);
      out.setU16(at + 4, a.port);
      out.setU16(at + 6, a.maxLen);
    } else {
      const at = out.action(OUTPUT11, version);
      out.setU32(at + 4, portToOfp11(a.port));
      out.setU16(at + 8, a.maxLen);
    }
  },
  format(a, { names }) {
    const port = formatPort(a.port, names.ports);
    if (a.port === OFPP.CONTROLLER) return `${port}:${a.maxLen}`;
    return a.port < OFPP.MAX ? `output:${port}` : port;
  },
  parse: {
    output(arg, c): Ofpact {
      if (arg.includes('port') && arg.includes('max_len')) return parseTrunc(arg, c);
      const port = parsePort(arg, c.names.ports);
      if (port === undefined) {
        const src = subfieldOf(arg);
        if (src !== undefined) return { kind: 'output_reg', src, maxLen: 0xffff };
        throw new OfpTextError(`${arg}: output to unknown port`);
      }
      return { kind: 'output', port, maxLen: port === OFPP.CONTROLLER ? 0xffff : 0 };
    },
  },
});

const outputTrunc = row<OfpactOutputTrunc>({
  kind: 'output_trunc',
  decoders: [
    {
      form: OUTPUT_TRUNC,
      decode(b) {
        if (b.u32(12) < ETH_HEADER_SIZE) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, 'max_len');
        return { kind: 'output_trunc', port: b.u16(10), maxLen: b.u32(12) };
      },
    },
  ],
  encode(a, { version, out }) {
    const at = out.action(OUTPUT_TRUNC, version);
    out.setU16(at + 10, a.port);
    out.setU32(at + 12, a.maxLen);
  },
  format: (a, { names }) => `output(port=${formatPort(a.port, names.ports)},max_len=${a.maxLen})`,
  parse: {
    output_trunc(arg) {
      throw new OfpTextError(`unknown action ${arg}`);
    },
  },
});

const GROUP = actionForm('OFPAT_GROUP', 'NX1.0(40) OF1.1+(22)', 'u32');
const group = row<OfpactGroup>({
  kind: 'group',
  decoders: [{ form: GROUP, decode: (b) => ({ kind: 'group', groupId: b.arg }) }],
  encode: (a, { version, out }) => void out.action(GROUP, version, a.groupId),
  format: (a) => `group:${a.groupId}`,
  parse: { group: (arg) => ({ kind: 'group', groupId: parseU32(arg) }) },
});

const ENQUEUE = actionForm('OFPAT_ENQUEUE', 'OF1.0(11)', 16);
const SET_QUEUE = actionForm('OFPAT_SET_QUEUE', 'NX1.0(4) OF1.1+(21)', 'u32');
const POP_QUEUE = actionForm('NXAST_POP_QUEUE', 'NX1.0+(5)', 'void');

const enqueue = row<OfpactEnqueue>({
  kind: 'enqueue',
  decoders: [
    {
      form: ENQUEUE,
      decode(b) {
        const port = b.u16(4);
        if (port >= OFPP.MAX && port !== OFPP.IN_PORT && port !== OFPP.LOCAL) {
          throw new OfpError(OFPERR.OFPBAC_BAD_OUT_PORT, `port ${port}`);
        }
        return { kind: 'enqueue', port, queue: b.u32(12) };
      },
    },
  ],
  encode(a, { version, out }) {
    if (version === 1) {
      const at = out.action(ENQUEUE, version);
      out.setU16(at + 4, a.port);
      out.setU32(at + 12, a.queue);
      return;
    }
    // Later versions have no such action: choose the queue, send, choose the old queue.
    out.action(SET_QUEUE, version, a.queue);
    const at = out.action(OUTPUT11, version);
    out.setU32(at + 4, portToOfp11(a.port));
    out.setU16(at + 8, 0xffff);
    out.action(POP_QUEUE, version);
  },
  format: (a, { names }) => `enqueue:${formatPort(a.port, names.ports)}:${a.queue}`,
  parse: {
    enqueue(arg, { names }) {
      const m = /^[:q,]*([^:q,]+)(?:[:q,](.+))?$/s.exec(arg);
      if (m?.[1] === undefined || m[2] === undefined) {
        throw new OfpTextError('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"');
      }
      const port = parsePort(m[1], names.ports);
      if (port === undefined) throw new OfpTextError(`${m[1]}: enqueue to unknown port`);
      return { kind: 'enqueue', port, queue: parseU32(m[2]) };
    },
  },
});

const setQueue = row<OfpactSetQueue>({
  kind: 'set_queue',
  decoders: [{ form: SET_QUEUE, decode: (b) => ({ kind: 'set_queue', queue: b.arg }) }],
  encode: (a, { version, out }) => void out.action(SET_QUEUE, version, a.queue),
  format: (a) => `set_queue:${a.queue}`,
  parse: { set_queue: (arg) => ({ kind: 'set_queue', queue: parseU32(arg) }) },
});

const popQueue = row<OfpactPlain>({
  kind: 'pop_queue',
  decoders: [{ form: POP_QUEUE, decode: () => ({ kind: 'pop_queue' }) }],
  encode: (_, { version, out }) => void out.action(POP_QUEUE, version),
  format: () => 'pop_queue',
  parse: { pop_queue: () => ({ kind: 'pop_queue' }) },
});

const CONTROLLER = actionForm('NXAST_CONTROLLER', 'NX1.0+(20)', 16);
const CONTROLLER2 = actionForm('NXAST_CONTROLLER2', 'NX1.0+(37)', 16, true);
/** NXAC2PT_*: properties of the second form. */
const PROP = { MAX_LEN: 0, CONTROLLER_ID: 1, REASON: 2, USERDATA: 3, PAUSE: 4, METER_ID: 5 } as const;
const NO_BYTES = new Uint8Array(0);
/** What a controller action says that says nothing. */
const PLAIN_CONTROLLER: OfpactController = {
  kind: 'controller',
  maxLen: 0xffff,
  controllerId: 0,
  reason: OFPR_ACTION,
  pause: false,
  userdata: NO_BYTES,
  meterId: 0,
};

function decodeController2(b: ActionBytes): OfpactController {
  if (!b.isZero(10, 16)) throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO);
  let a: OfpactController = { ...PLAIN_CONTROLLER, compat: 'controller2' };
  for (let at = 16; at < b.size; ) {
    if (b.size - at < 4) throw new OfpError(OFPERR.OFPBPC_BAD_LEN);
    const type = b.u16(at);
    const size = b.u16(at + 2);
    const padded = (size + 7) & ~7;
    if (size < 4 || padded > b.size - at) throw new OfpError(OFPERR.OFPBPC_BAD_LEN);
    const body = at + 4;
    const want = (n: boolean): void => {
      if (!n) throw new OfpError(OFPERR.OFPBPC_BAD_LEN, `property ${type}`);
    };
    if (type === PROP.MAX_LEN) {
      want(size >= 6);
      a = { ...a, maxLen: b.u16(body) };
    } else if (type === PROP.CONTROLLER_ID) {
      want(size >= 6);
      a = { ...a, controllerId: b.u16(body) };
    } else if (type === PROP.REASON) {
      want(size >= 5);
      a = { ...a, reason: b.u8(body) };
    } else if (type === PROP.USERDATA) a = { ...a, userdata: b.bytes(body, at + size) };
    else if (type === PROP.PAUSE) a = { ...a, pause: true };
    else if (type === PROP.METER_ID) {
      want(size === 8);
      a = { ...a, meterId: b.u32(body) };
    } else if (type === 0xffff) {
      want(size >= 12);
      const isStandard = b.u32(body) === 0;
      throw new OfpError(isStandard ? OFPERR.OFPBPC_BAD_EXPERIMENTER : OFPERR.OFPBPC_BAD_EXP_TYPE);
    } else throw new OfpError(OFPERR.OFPBPC_BAD_TYPE, `property ${type}`);
    at += padded;
  }
  return a;
}

const hasOnlyMaxLen = (a: OfpactController): boolean =>
  a.reason === OFPR_ACTION && a.controllerId === 0 && a.userdata.length === 0 && !a.pause && a.meterId === 0;

function parseController(arg: string): Ofpact {
  let a = PLAIN_CONTROLLER;
  let hasUserdata = false;
  if (/^[0-9]+$/.test(arg)) a = { ...a, maxLen: parseU16(arg, 'max_len') };
  else {
    for (const kv = new KeyValues(arg); kv.next(); ) {
      if (kv.key === 'reason') a = { ...a, reason: parseReason(kv.value) };
      else if (kv.key === 'max_len') a = { ...a, maxLen: parseU16(kv.value, 'max_len') };
      else if (kv.key === 'id') a = { ...a, controllerId: parseU16(kv.value, 'id') };
      else if (kv.key === 'userdata') {
        const { bytes, rest } = scanHex(kv.value);
        if (rest !== '') throw new OfpTextError("bad hex digit in `controller' action `userdata'");
        hasUserdata = true;
        a = { ...a, userdata: bytes };
      } else if (kv.key === 'pause') a = { ...a, pause: true };
      else if (kv.key === 'meter_id') a = { ...a, meterId: parseU32(kv.value) };
      else throw new OfpTextError(`unknown key "${kv.key}" parsing controller action`);
    }
  }
  return hasOnlyMaxLen(a) && !hasUserdata ? { kind: 'output', port: OFPP.CONTROLLER, maxLen: a.maxLen } : a;
}

const controller = row<OfpactController>({
  kind: 'controller',
  decoders: [
    {
      form: CONTROLLER,
      decode: (b) => ({
        ...PLAIN_CONTROLLER,
        maxLen: b.u16(10),
        controllerId: b.u16(12),
        reason: b.u8(14),
      }),
    },
    { form: CONTROLLER2, decode: decodeController2 },
  ],
  encode(a, { version, out }) {
    if (a.userdata.length === 0 && !a.pause && a.meterId === 0 && a.compat !== 'controller2') {
      const at = out.action(CONTROLLER, version);
      out.setU16(at + 10, a.maxLen);
      out.setU16(at + 12, a.controllerId);
      out.setU8(at + 14, a.reason);
      return;
    }
    const start = out.action(CONTROLLER2, version);
    const put = (type: number, body: Uint8Array): void => {
      const at = out.size;
      out.putU16(type);
      out.putU16(0);
      out.putBytes(body);
      const { size } = out;
      out.finish(at);
      out.setU16(at + 2, size - at);
    };
    const be16 = (v: number): Uint8Array => Uint8Array.of(v >> 8, v & 0xff, 0, 0);
    if (a.maxLen !== 0xffff) put(PROP.MAX_LEN, be16(a.maxLen));
    if (a.controllerId !== 0) put(PROP.CONTROLLER_ID, be16(a.controllerId));
    if (a.reason !== OFPR_ACTION) put(PROP.REASON, Uint8Array.of(a.reason));
    if (a.userdata.length !== 0) put(PROP.USERDATA, a.userdata);
    if (a.pause) put(PROP.PAUSE, NO_BYTES);
    if (a.meterId !== 0) {
      const id = a.meterId;
      put(PROP.METER_ID, Uint8Array.of(id >>> 24, id >>> 16, id >>> 8, id));
    }
    out.finish(start);
  },
  format(a) {
    if (hasOnlyMaxLen(a)) return `CONTROLLER:${a.maxLen}`;
    const parts: string[] = [];
    if (a.reason !== OFPR_ACTION) parts.push(`reason=${formatReason(a.reason)}`);
    if (a.maxLen !== 0xffff) parts.push(`max_len=${a.maxLen}`);
    if (a.controllerId !== 0) parts.push(`id=${a.controllerId}`);
    if (a.userdata.length !== 0) parts.push(`userdata=${dottedHex(a.userdata)}`);
    if (a.pause) parts.push('pause');
    if (a.meterId !== 0) parts.push(`meter_id=${a.meterId}`);
    return `controller(${parts.join(',')})`;
  },
  parse: { controller: parseController },
});

/** "01.ff". */
export const dottedHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('.');

export const OUTPUT_ROWS = [output, outputTrunc, group, controller, enqueue, setQueue, popQueue];
