/**
 * Packets into and out of bundles: where one comes in, whether its VLAN may, and with which tags it goes out.  NORMAL (`xlate-normal.ts`) and
 * mirrors (`xlate-mirror.ts`) share it; `bundle.ts` has the VLAN modes.
 * Source: ofproto/ofproto-dpif-xlate.c (lookup_input_bundle, input_vid_is_valid, output_normal).
 */
import { VLAN_CFI } from '../../../flow/fields.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { Bundle, type Xvlan, xvlanPut } from '../../ports/bundle.ts';
import { unwildcard, VLAN_WORDS } from '../wildcards.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { reportError } from '../xlate-report.ts';

const CVLAN = { words: [VLAN_WORDS[1]], bits: [0xffff] };
const PCP_MASK = 0xe000;
const PRIORITY_BITS = { words: [VLAN_WORDS[0]], bits: [PCP_MASK] };

/** Sends the packet out of an OpenFlow port, through patch ports too. */
export type Send = (ctx: XlateCtx, ofport: number) => void;

/** Where packets come from that a controller made. */
export const NO_BUNDLE = new Bundle('OFPP_NONE');

/** The bundle that the packet came in by; undefined, and an error is reported, if it is in none. */
export function inputBundle(ctx: XlateCtx): Bundle | undefined {
  const { inPort, ofpInPort } = ctx;
  if (inPort?.bundle !== undefined) return inPort.bundle;
  if (ofpInPort === OFPP.NONE || ofpInPort === OFPP.CONTROLLER) return NO_BUNDLE;
  // A port that is in no bundle yet was added a moment ago.
  reportError(ctx, `received packet on unknown port ${ofpInPort}`);
  return undefined;
}

/** Whether `bundle` admits a packet with tag `vid` (0: none); if not, an error is reported. */
export function admitsVid(ctx: XlateCtx, bundle: Bundle, vid: number): boolean {
  if (bundle === NO_BUNDLE || bundle.admits(vid)) return true;
  reportError(ctx, refusalOf(bundle, vid));
  return false;
}

function refusalOf({ name, vlan, vlanMode }: Bundle, vid: number): string {
  switch (vlanMode) {
    case 'access':
      return `dropping VLAN ${vid} tagged packet received on port ${name} configured as VLAN ${vlan} access port`;
    case 'dot1q-tunnel':
      return `dropping VLAN ${vid} packet received on dot1q-tunnel port ${name} that excludes this VLAN`;
    default:
      return `dropping VLAN ${vid} packet received on port ${name} not configured for trunking VLAN ${vid}`;
  }
}

/** Why a packet of `bundle` is dropped that is for mirrors alone. */
export const mirrorRefusal = ({ name }: Bundle): string =>
  `dropping packet received on port ${name}, which is reserved exclusively for mirroring`;

/** Sends the packet, which is in VLANs `vlan`, out of `bundle` with the headers that it wants; the packet itself stays as it is. */
export function outputNormal(ctx: XlateCtx, bundle: Bundle, vlan: Xvlan, send: Send): void {
  const port = bundle.active;
  if (port === undefined) return;
  if (bundle.asksForCvlan) unwildcard(ctx.wc, CVLAN);
  bundle.translateOut(vlan, ctx.outVlan);
  const { flow } = ctx;
  const outer = flow[VLAN_WORDS[0]] as number;
  // The headers of a priority-tagged frame are rewritten by its priority: with none left, the tag goes.
  if ((outer & VLAN_CFI) !== 0 && (outer & 0xfff) === 0) unwildcard(ctx.wc, PRIORITY_BITS);
  if (bundle.priorityTags !== 'never') ctx.outVlan.pcp0 = outer & PCP_MASK;
  const inner = flow[VLAN_WORDS[1]] as number;
  xvlanPut(flow, ctx.outVlan, bundle.priorityTags === 'always');
  send(ctx, port.ofport);
  flow[VLAN_WORDS[0]] = outer;
  flow[VLAN_WORDS[1]] = inner;
}

/** Whether `bundle` is for mirrors, and for nothing else. */
export const isMirrorOutput = ({ bridge }: XlateCtx, bundle: Bundle): boolean =>
  bridge.mirrors?.isOutput(bundle) === true;

/** Sends the packet to all bundles of its VLAN but `from`. */
export function flood(ctx: XlateCtx, from: Bundle, send: Send): void {
  for (const bundle of ctx.bridge.bundles) {
    if (bundle === from || !bundle.includes(ctx.vlan) || !bundle.isFloodable) continue;
    if (!isMirrorOutput(ctx, bundle)) outputNormal(ctx, bundle, ctx.vlan, send);
  }
}
