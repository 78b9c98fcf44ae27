/**
 * normalize-actions FLOW ACTIONS [NAME=NUMBER...]: what is done to a packet for each set of VLAN tags that it has meanwhile, in an
 * order that does not depend on that of the actions.  Tests compare lists of actions by it.
 * Source: lib/dpctl.c (dpctl_normalize_actions()).
 */
import { FIELD, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, getField, newFlowKey } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import { AttrCursor } from '../../netlink/message.ts';
import { OVS_ACTION_ATTR } from '../../odp/action-attrs.ts';
import { ODP_FIT, type OdpKeyReport } from '../../odp/key/fitness.ts';
import { odpKeyToFlow } from '../../odp/key/odp-key.ts';
import { formatOdpActions } from '../../odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../odp/text/odp-format-key.ts';
import { parseOdpActions } from '../../odp/text/odp-parse-actions.ts';
import { parseOdpFlow } from '../../odp/text/odp-parse-key.ts';
import { OdpParseError } from '../../odp/text/odp-text-scan.ts';
import { ERRNO } from '../../util/errno.ts';
import { type DpctlContext, print, printError } from '../dpctl-context.ts';

const { OUTPUT, PUSH_VLAN, POP_VLAN } = OVS_ACTION_ATTR;
const [ETH_TYPE_VLAN, ETH_TYPE_MPLS, ETH_TYPE_MPLS_MCAST] = [0x8100, 0x8847, 0x8848] as const;

interface Tag {
  readonly tpid: number;
  /** With VLAN_CFI; 0 if there is no tag. */
  readonly tci: number;
}
const NO_TAG: Tag = { tpid: 0, tci: 0 };
/** Two, the outer one first. */
type Tags = readonly [Tag, Tag];

/** An attribute with its header and padding. */
interface Action {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly dv: DataView;
}

export function normalizeActions(ctx: DpctlContext, args: readonly string[]): number {
  const portNumbers = new Map<string, number>();
  const [flowText = '', actionsText = '', ...ports] = args;
  for (const arg of ports) {
    const [, name, number] = /^([^=]{1,15})=\s*([+-]?\d+)/.exec(arg) ?? [];
    if (name === undefined) return refuse(ctx, ERRNO.EINVAL, `${arg}: expected NAME=NUMBER`, 0);
    portNumbers.set(name, Number(number));
  }
  const flow = newFlowKey();
  let actions: Uint8Array;
  try {
    const { key } = parseOdpFlow(flowText, { portNumbers, hasMasks: false });
    print(ctx, `input flow: ${formatOdpFlow(key, undefined, { verbose: ctx.options.verbosity > 0 })}\n`);
    const why: OdpKeyReport = { error: undefined };
    const fit = odpKeyToFlow(key, flow, undefined, why);
    // How well the key fits is taken for an errno there.
    if (fit !== ODP_FIT.PERFECT) {
      return refuse(ctx, fit, `odp_flow_key_to_flow failed (${why.error ?? 'reason unknown'})`);
    }
  } catch (e) {
    if (!(e instanceof OdpParseError)) throw e;
    return refuse(ctx, e.errno, `odp_flow_key_from_string (${e.message})`);
  }
  try {
    actions = parseOdpActions(actionsText, { portNumbers });
  } catch (e) {
    if (!(e instanceof OdpParseError)) throw e;
    return refuse(ctx, e.errno, 'odp_actions_from_string');
  }
  if (ctx.options.verbosity > 0) print(ctx, `input actions: ${formatOdpActions(actions)}\n`);
  // No line ends but those of the input, as in the stock tool.
  const groups = [...byTags(actions, flow).values()].sort((a, b) => compareTags(a.tags, b.tags));
  for (const { tags, list } of groups) {
    const bytes = Buffer.concat(sortOutputs(list).map((a) => a.bytes));
    print(ctx, `${tags.map(tagText).join('') || 'no vlan: '}${mplsText(flow)}${formatOdpActions(bytes)}`);
  }
  return 0;
}

function refuse(ctx: DpctlContext, errno: number, text: string, shown = errno): number {
  printError(ctx, shown, text);
  return errno;
}

/** The actions but for pushes and pops, by the tags that the packet has where they stand. */
function byTags(actions: Uint8Array, flow: FlowKey): Map<string, { tags: Tags; list: Action[] }> {
  let tags: Tags = [
    { tpid: getField(flow, FIELD.vlanTpid), tci: getField(flow, FIELD.vlanTci) },
    { tpid: getField(flow, FIELD.cvlanTpid), tci: getField(flow, FIELD.cvlanTci) },
  ];
  const groups = new Map<string, { tags: Tags; list: Action[] }>();
  const dv = new DataView(actions.buffer, actions.byteOffset, actions.length);
  const it = new AttrCursor(dv, 0, actions.length, 'actions');
  while (it.next()) {
    if (it.type === POP_VLAN) {
      if ((tags[0].tci & VLAN_CFI) !== 0) tags = [tags[1], NO_TAG];
      continue;
    }
    if (it.type === PUSH_VLAN) {
      tags = [{ tpid: dv.getUint16(it.at), tci: dv.getUint16(it.at + 2) }, tags[0]];
      continue;
    }
    const key = JSON.stringify(tags);
    const group = groups.get(key) ?? { tags, list: [] };
    const end = Math.min(it.at + ((it.size + 3) & ~3), actions.length);
    const bytes = actions.subarray(it.at - 4, end);
    group.list.push({ type: it.type, bytes, dv: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) });
    groups.set(key, group);
  }
  return groups;
}

const numbersOf = (tags: Tags): number[] => tags.flatMap(({ tpid, tci }) => [tpid, tci]);
function compareTags(a: Tags, b: Tags): number {
  const than = numbersOf(b);
  return numbersOf(a).reduce((found, n, i) => found || n - (than[i] ?? 0), 0);
}

/** Outputs in a row come in the order of their ports. */
function sortOutputs(list: readonly Action[]): Action[] {
  const sorted: Action[] = [];
  let run: Action[] = [];
  const portOf = ({ dv }: Action): number => dv.getUint32(4, true);
  const flush = () => {
    sorted.push(...run.sort((a, b) => portOf(a) - portOf(b)));
    run = [];
  };
  for (const action of list) {
    if (action.type === OUTPUT) {
      run.push(action);
      continue;
    }
    flush();
    sorted.push(action);
  }
  flush();
  return sorted;
}

function tagText({ tpid, tci }: Tag, i: number, tags: readonly Tag[]): string {
  // Behind a place without a tag there is none.
  if (tci === 0 || (i > 0 && tags[0]?.tci === 0)) return '';
  const type = tpid === ETH_TYPE_VLAN ? '' : `tpid=0x${swapped(tpid).toString(16).padStart(4, '0')},`;
  return `vlan(${type}vid=${tci & 0xfff},pcp=${tci >>> 13}): `;
}

/** It is printed as a number of the host's order, though it is in that of the network. */
const swapped = (n: number): number => (LITTLE_ENDIAN ? ((n & 0xff) << 8) | (n >>> 8) : n);

function mplsText(flow: FlowKey): string {
  const type = getField(flow, FIELD.ethType);
  if (type !== ETH_TYPE_MPLS && type !== ETH_TYPE_MPLS_MCAST) return 'no mpls: ';
  const lse = getField(flow, FIELD.mplsLse0) >>> 0;
  return `mpls(label=${lse >>> 12},tc=${(lse >>> 9) & 7},ttl=${lse & 0xff}): `;
}
