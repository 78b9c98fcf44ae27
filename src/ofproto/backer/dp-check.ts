/**
 * Flows that the datapath could not carry out are refused, rather than installed and dropped: what a match looks at, and what actions do,
 * against what was found that the datapath can (`dp-support.ts`).
 * Source: ofproto/ofproto-dpif.c (check_mask, check_actions).
 */
import { FIELD as F, type Field } from '../../flow/fields.ts';
import { type FlowMask, getField, isFieldSet } from '../../flow/flow-key.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import type { Ofpact, OfpactCt } from '../../openflow/ofpact.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { DpSupport } from './dp-support.ts';

const log = vlog('ofproto_dpif');
const limit = new RateLimit(1, 5);

/** NX_CT_F_FORCE. */
const CT_FORCE = 2;
/** Bits of ct_state that NAT sets. */
const CT_STATE_NAT = 0xc0;

type Need = (support: DpSupport) => boolean;
/** What fields need; of the original direction any family will do for what both have. */
// biome-ignore format: table
const FIELD_NEEDS: readonly (readonly [Field, Need])[] = [
  [F.ctState,   (s) => s.ctState],
  [F.ctZone,    (s) => s.ctZone],
  [F.ctMark,    (s) => s.ctMark],
  [F.ctLabels,  (s) => s.ctLabel],
  [F.ctNwProto, (s) => s.ctOrigTuple || s.ctOrigTuple6],
  [F.ctTpSrc,   (s) => s.ctOrigTuple || s.ctOrigTuple6],
  [F.ctTpDst,   (s) => s.ctOrigTuple || s.ctOrigTuple6],
  [F.ctNwSrc,   (s) => s.ctOrigTuple],
  [F.ctNwDst,   (s) => s.ctOrigTuple],
  [F.ctIpv6Src, (s) => s.ctOrigTuple6],
  [F.ctIpv6Dst, (s) => s.ctOrigTuple6],
];

const hasAll = (s: DpSupport): boolean =>
  s.ctState && s.ctZone && s.ctMark && s.ctLabel && s.ctStateNat && s.ctOrigTuple && s.ctOrigTuple6;

/** Throws OfpError (NXBMC_CT_DATAPATH_SUPPORT) if the datapath does not tell what the mask looks at. */
export function checkDpMask(mask: FlowMask, support: DpSupport): void {
  if (hasAll(support)) return;
  const missing = FIELD_NEEDS.find(([field, need]) => !need(support) && isFieldSet(mask, field));
  const wantsNat = (getField(mask, F.ctState) & CT_STATE_NAT) !== 0;
  if (missing !== undefined || (wantsNat && !support.ctStateNat)) {
    const what = missing?.[0].name ?? 'ctState of NAT';
    throw new OfpError(OFPERR.NXBMC_CT_DATAPATH_SUPPORT, `match: the datapath has no ${what}`);
  }
}

function reject(err: keyof typeof OFPERR, action: string, detail: string): never {
  const why = `datapath does not support ${detail} (your kernel module may be out of date)`;
  log.warn(`Rejecting ${action} action because ${why}`, limit);
  throw new OfpError(OFPERR[err], `${action}: ${why}`);
}
const rejectCt = (action: string, detail: string): never => reject('NXBAC_CT_DATAPATH_SUPPORT', action, detail);

function checkCt(ct: OfpactCt, support: DpSupport): void {
  if (!support.ctState) rejectCt('ct', 'ct action');
  if ((ct.zoneImm !== 0 || ct.zoneSrc !== undefined) && !support.ctZone) rejectCt('ct', 'ct zones');
  // Datapaths got the two at the same time.
  if ((ct.flags & CT_FORCE) !== 0 && !support.ctOrigTuple) rejectCt('ct', 'force commit');
  for (const a of ct.actions) {
    if (a.kind === 'nat' && !support.ctStateNat) rejectCt('ct', 'nat');
    if (a.kind !== 'set_field') continue;
    const isMissing =
      (a.field.name === 'ct_mark' && !support.ctMark) || (a.field.name === 'ct_label' && !support.ctLabel);
    if (isMissing) rejectCt('ct', 'setting mark and/or label');
  }
}

const ND_EXTENSIONS: ReadonlySet<string> = new Set(['nd_reserved', 'nd_options_type']);

/** Throws OfpError (NXBAC_CT_DATAPATH_SUPPORT, OFPBAC_BAD_SET_ARGUMENT) if the datapath does not do what an action says. */
export function checkDpActions(actions: readonly Ofpact[], support: DpSupport): void {
  for (const a of actions) {
    if (a.kind === 'ct') checkCt(a, support);
    else if (a.kind === 'resubmit' && a.withCtOrig && !support.ctOrigTuple) {
      rejectCt('resubmit', 'ct original direction tuple');
    } else if (a.kind === 'set_field' && !support.ndExt && ND_EXTENSIONS.has(a.field.name)) {
      reject('OFPBAC_BAD_SET_ARGUMENT', 'set field', 'setting IPv6 ND Extensions fields');
    }
  }
}
