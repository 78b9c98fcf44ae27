/**
 * Actions and instructions: decode, encode, print, parse.  Rows of each kind are in the files beside; the loops around them are here.
 * Source: lib/ofp-actions.c, ovs-actions(7).
 */
import type { MfField } from '../fields/mf-field.ts';
import { OFPERR, OfpError, type OfVersion } from '../ofp-errors.ts';
import { type OfpNames, parsePort } from '../ofp-names.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { KeyValues, OfpTextError } from '../ofp-text.ts';
import type { Ofpact, OfpactKind } from '../ofpact.ts';
import { isAllowedInActionSet } from './action-set.ts';
import { CONTROL_ROWS } from './control.ts';
import { CT_ROWS } from './ct.ts';
import { ENCAP_ROWS } from './encap.ts';
import { HASH_ROWS } from './hash.ts';
import { HEADER_ROWS } from './header.ts';
import { INSTRUCTION_FORM, INSTRUCTION_ROWS, INSTRUCTIONS, type Instruction, instructionOf } from './instructions.ts';
import { LEARN_ROWS } from './learn.ts';
import { OUTPUT_ROWS, outputToNamed } from './output.ts';
import type { ActionRow, DecodeCtx, Decoder, EncodeCtx, FormatCtx, ParseCtx } from './row.ts';
import { SET_FIELD_ROWS } from './set-field.ts';
import { encodedActions, forgetSharedActions, sharedActions } from './shared-actions.ts';
import { SUBFIELD_ROWS } from './subfield.ts';
import { TAG_ROWS } from './tags.ts';
import { type OrderError, verifyOrder } from './verify.ts';
import { ActionWriter, FormIndex } from './wire.ts';

const ROWS = new Map<string, ActionRow<Ofpact>>();
const FORMS = new FormIndex<Decoder<Ofpact>>();
const PARSERS = new Map<string, (arg: string, c: ParseCtx) => Ofpact>();
for (const anyRow of [
  ...OUTPUT_ROWS,
  ...HEADER_ROWS,
  ...TAG_ROWS,
  ...CONTROL_ROWS,
  ...ENCAP_ROWS,
  ...INSTRUCTION_ROWS,
  ...SET_FIELD_ROWS,
  ...SUBFIELD_ROWS,
  ...CT_ROWS,
  ...HASH_ROWS,
  ...LEARN_ROWS,
]) {
  const r = anyRow as unknown as ActionRow<Ofpact>;
  ROWS.set(r.kind, r);
  for (const d of r.decoders) FORMS.add(d.form, d);
  for (const [name, parse] of Object.entries(r.parse)) PARSERS.set(name, parse);
}

function rowOf(a: Ofpact): ActionRow<Ofpact> {
  const r = ROWS.get(a.kind);
  if (r === undefined) throw new Error(`no row for action ${a.kind}`);
  return r;
}

const ONLY_ACTIONS: readonly Instruction[] = ['apply_actions', 'meter'];
const toOfpError = (e: OrderError): OfpError => new OfpError(OFPERR[e.err], e.message);

function decodeList(dv: DataView, c: DecodeCtx): Ofpact[] {
  const list: Ofpact[] = [];
  for (let at = 0; at < dv.byteLength; ) {
    const { row, bytes } = FORMS.read(dv, at, c.version);
    list.push(row.decode(bytes, c));
    at += bytes.size;
  }
  return list;
}

let areDebugActionsAllowed = false;

/** Has debug_recirc and debug_slow taken wherever `allowsDebug` does not say otherwise: for --enable-dummy. */
export function allowDebugActions(): void {
  areDebugActionsAllowed = true;
  forgetSharedActions();
}

function decodeCtx(version: OfVersion, o: DecodeOptions): DecodeCtx {
  const ctx: DecodeCtx = {
    version,
    allowsDebug: o.allowsDebug ?? areDebugActionsAllowed,
    isTlvMapped: o.isTlvMapped,
    nested(dv, outer) {
      const list = decodeList(dv, ctx);
      const e = verifyOrder(list, version, ['apply_actions'], outer === 'clone' ? undefined : outer);
      if (e !== undefined) throw toOfpError(e);
      return list;
    },
  };
  return ctx;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export interface DecodeOptions {
  /** Whether debug_recirc and debug_slow are taken. */
  readonly allowsDebug?: boolean;
  /** Whether the TLV table has a tun_metadata field; without, all are taken, as a tool does. */
  readonly isTlvMapped?: (field: MfField) => boolean;
}

/** Actions in their wire form of `version`.  Throws OfpError. */
export function decodeActions(version: OfVersion, bytes: Uint8Array, o: DecodeOptions = {}): Ofpact[] {
  return decodeChecked(version, bytes, ONLY_ACTIONS, o);
}

function decodeChecked(version: OfVersion, bytes: Uint8Array, allowed: readonly Instruction[], o: DecodeOptions) {
  if (bytes.length % 8 !== 0) throw new OfpError(OFPERR.OFPBRC_BAD_LEN);
  const list = decodeList(viewOf(bytes), decodeCtx(version, o));
  const e = verifyOrder(list, version, allowed);
  if (e !== undefined) throw toOfpError(e);
  return list;
}

/** Instructions, or OpenFlow 1.0's actions of a flow, in the order in which they are carried out; others may have the same list.  Throws OfpError. */
export function decodeInstructions(version: OfVersion, bytes: Uint8Array, o?: DecodeOptions): readonly Ofpact[] {
  if (o !== undefined) return decodeAllInstructions(version, bytes, o);
  return sharedActions(version, bytes, () => decodeAllInstructions(version, bytes, {}));
}

function decodeAllInstructions(version: OfVersion, bytes: Uint8Array, o: DecodeOptions): Ofpact[] {
  if (version === 1) return decodeChecked(version, bytes, INSTRUCTIONS, o);
  const badLen = (): OfpError => new OfpError(OFPERR.OFPBIC_BAD_LEN);
  if (bytes.length % 8 !== 0) throw badLen();
  const dv = viewOf(bytes);
  const found = new Map<Instruction, DataView>();
  for (let at = 0; at < bytes.length; ) {
    const type = dv.getUint16(at);
    const size = dv.getUint16(at + 2);
    if (size % 8 !== 0 || size < 8 || size > bytes.length - at) throw badLen();
    if (type === 0xffff) throw new OfpError(OFPERR.OFPBIC_BAD_EXPERIMENTER);
    const name = INSTRUCTIONS.find((i) => INSTRUCTION_FORM[i].codes[2]?.type === type);
    if (name === undefined) throw new OfpError(OFPERR.OFPBIC_UNKNOWN_INST);
    const hasActions = name === 'apply_actions' || name === 'write_actions';
    if (!hasActions && size !== (name === 'write_metadata' ? 24 : 8)) throw badLen();
    if (name === 'meter' && version >= 6) throw new OfpError(OFPERR.OFPBIC_UNKNOWN_INST);
    if (found.has(name)) throw new OfpError(OFPERR.OFPBIC_DUP_INST);
    found.set(name, new DataView(dv.buffer, dv.byteOffset + at, size));
    at += size;
  }

  const ctx = decodeCtx(version, o);
  const body = (v: DataView): DataView => new DataView(v.buffer, v.byteOffset + 8, v.byteLength - 8);
  const list: Ofpact[] = [];
  for (const name of INSTRUCTIONS) {
    const v = found.get(name);
    if (v === undefined) continue;
    if (name === 'meter') list.push({ kind: 'meter', meterId: v.getUint32(4) });
    else if (name === 'apply_actions') list.push(...decodeList(body(v), ctx));
    else if (name === 'clear_actions') list.push({ kind: 'clear_actions' });
    else if (name === 'write_actions') {
      const actions = decodeList(body(v), ctx);
      if (!actions.every(isAllowedInActionSet)) throw new OfpError(OFPERR.OFPBAC_BAD_TYPE, 'in an action set');
      list.push({ kind: 'write_actions', actions });
    } else if (name === 'write_metadata') {
      list.push({ kind: 'write_metadata', metadata: v.getBigUint64(8), mask: v.getBigUint64(16) });
    } else list.push({ kind: 'goto_table', table: v.getUint8(4) });
  }
  const e = verifyOrder(list, version, INSTRUCTIONS);
  if (e !== undefined) throw toOfpError(e);
  return list;
}

function encoder(version: OfVersion): EncodeCtx {
  // Whatever is encoded within an encoding gets a writer of its own.
  const ctx: EncodeCtx = {
    version,
    out: spare ?? new ActionWriter(),
    nested(actions) {
      for (const a of actions) rowOf(a).encode(a, ctx);
    },
  };
  spare = undefined;
  return ctx;
}

let spare: ActionWriter | undefined;

/** What was written; the writer is used again. */
function taken(out: ActionWriter): Uint8Array {
  const bytes = out.take();
  out.truncate(0);
  spare = out;
  return bytes;
}

/** Actions in their wire form of `version`. */
export function encodeActions(actions: readonly Ofpact[], version: OfVersion): Uint8Array {
  const c = encoder(version);
  c.nested(actions);
  return taken(c.out);
}

/** Instructions (in OpenFlow 1.0: actions) in their wire form, which is not to be changed. */
export function encodeInstructions(actions: readonly Ofpact[], version: OfVersion): Uint8Array {
  return encodedActions(version, actions, () => encodeAllInstructions(actions, version));
}

function encodeAllInstructions(actions: readonly Ofpact[], version: OfVersion): Uint8Array {
  if (version === 1) return encodeActions(actions, version);
  const c = encoder(version);
  for (let i = 0; i < actions.length; ) {
    const isApplied = (a: Ofpact | undefined): a is Ofpact =>
      a !== undefined && instructionOf(a.kind, version) === 'apply_actions';
    let a = actions[i] as Ofpact;
    if (!isApplied(a)) {
      rowOf(a).encode(a, c);
      i++;
      continue;
    }
    const at = c.out.action(INSTRUCTION_FORM.apply_actions, version);
    const empty = c.out.size;
    for (; isApplied(actions[i]); i++) {
      a = actions[i] as Ofpact;
      rowOf(a).encode(a, c);
    }
    if (c.out.size === empty) c.out.truncate(at);
    else c.out.finish(at);
  }
  return taken(c.out);
}

/** As ovs-ofctl prints them after "actions=": "drop" if there are none. */
export function formatActions(actions: readonly Ofpact[], names: OfpNames = {}): string {
  const ctx: FormatCtx = { names, nested: (list) => formatActions(list, names) };
  return actions.length === 0 ? 'drop' : actions.map((a) => rowOf(a).format(a, ctx)).join(',');
}

const MAX_DEPTH = 100;

export interface ParsedActions {
  readonly actions: Ofpact[];
  /** OFPUTIL_P bits of the protocols that can say them. */
  readonly usableProtocols: number;
}

function parse(text: string, names: OfpNames, allowsInstructions: boolean): ParsedActions {
  let depth = 0;
  const list = (t: string, withInstructions: boolean, outer?: OfpactKind): Ofpact[] => {
    if (depth >= MAX_DEPTH) throw new OfpTextError('Action nested too deeply');
    depth++;
    const actions: Ofpact[] = [];
    let isDrop = false;
    for (const kv = new KeyValues(t); kv.next(); ) {
      const name = kv.key.toLowerCase();
      const parser = PARSERS.get(name);
      if (parser !== undefined) {
        actions.push(parser(kv.value, ctx));
        if (name === 'meter' && !withInstructions) ctx.usable &= OFPUTIL_P.OF15_UP;
      } else if (name === 'drop') isDrop = true;
      else if (name === 'apply_actions') throw new OfpTextError('apply_actions is the default instruction');
      else {
        const port = parsePort(kv.key, names.ports);
        if (port === undefined) throw new OfpTextError(`unknown action ${kv.key}`);
        actions.push(outputToNamed(port));
      }
    }
    if (isDrop && actions.length > 0) {
      throw new OfpTextError('"drop" must not be accompanied by any other action or instruction');
    }
    const e = verifyOrder(actions, 2, withInstructions ? INSTRUCTIONS : ONLY_ACTIONS, outer);
    if (e !== undefined) throw new OfpTextError(e.message);
    depth--;
    return actions;
  };
  const ctx: ParseCtx = { names, usable: OFPUTIL_P.ANY, nested: (t, outer) => list(t, false, outer) };
  const actions = list(text, allowsInstructions);
  return { actions, usableProtocols: ctx.usable };
}

/** Reads actions as ovs-ofctl does.  Throws OfpTextError. */
export const parseActions = (text: string, names: OfpNames = {}): ParsedActions => parse(text, names, false);
/** Reads the actions and instructions of a flow.  Throws OfpTextError. */
export const parseInstructions = (text: string, names: OfpNames = {}): ParsedActions => parse(text, names, true);
