/**
 * A kind of action as a row: its forms on the wire, its text, its checks.  `index.ts` has all rows, and the loops around them.
 *
 * Rows do not know each other: an action that holds others gets the loops through the context that it is given.
 * Source: lib/ofp-actions.c.
 */
import type { MfField } from '../fields/mf-field.ts';
import type { OfVersion } from '../ofp-errors.ts';
import type { OfpNames } from '../ofp-names.ts';
import type { Ofpact, OfpactKind } from '../ofpact.ts';
import type { ActionBytes, ActionForm, ActionWriter } from './wire.ts';

export interface DecodeCtx {
  readonly version: OfVersion;
  /** Whether debug_recirc and debug_slow are taken, as by a switch with --enable-dummy. */
  readonly allowsDebug: boolean;
  /** Whether the switch's TLV table has a tun_metadata field; undefined: there is no table to ask, as in a tool. */
  readonly isTlvMapped?: ((field: MfField) => boolean) | undefined;
  /** Actions inside of `outer`.  Throws OfpError. */
  nested(dv: DataView, outer: OfpactKind): Ofpact[];
}

export interface EncodeCtx {
  readonly version: OfVersion;
  readonly out: ActionWriter;
  nested(actions: readonly Ofpact[]): void;
}

export interface FormatCtx {
  readonly names: OfpNames;
  nested(actions: readonly Ofpact[]): string;
}

export interface ParseCtx {
  readonly names: OfpNames;
  /** Protocols (OFPUTIL_P) that can say all that was read; readers take bits away. */
  usable: number;
  /** Actions inside of `outer`.  Throws OfpTextError. */
  nested(text: string, outer: OfpactKind): Ofpact[];
}

/** A form, and what its bytes mean.  Throws OfpError. */
export interface Decoder<A extends Ofpact> {
  readonly form: ActionForm;
  readonly decode: (b: ActionBytes, c: DecodeCtx) => A;
}

export interface ActionRow<A extends Ofpact> {
  readonly kind: A['kind'];
  readonly decoders: readonly Decoder<A>[];
  readonly encode: (a: A, c: EncodeCtx) => void;
  readonly format: (a: A, c: FormatCtx) => string;
  /** Its text by name; throws OfpTextError.  Some texts turn out to be another kind. */
  readonly parse: Readonly<Record<string, (arg: string, c: ParseCtx) => Ofpact>>;
}

/** A row as the table keeps it. */
export type AnyRow = ActionRow<never>;

/** Checks a row against its kind, and forgets the kind. */
export const row = <A extends Ofpact>(r: ActionRow<A>): AnyRow => r as unknown as AnyRow;
