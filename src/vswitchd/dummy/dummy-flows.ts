/**
 * Flows as a datapath in userspace shows them: with the packet type, with the values of fields that the mask leaves out, in the order of
 * userspace, and as flows of its main thread; what it logs when flows change.  The datapath in this process is a kernel's in this, and gives
 * keys under their masks only, so that those which flows were put with are remembered here.
 * Source: lib/dpif-netdev.c (dp_netdev_flow_to_dpif_flow, log_netdev_flow_change, dp_netdev_upcall).
 */
import {
  DPIF_FP,
  DPIF_UC,
  type DpifFlow,
  type DpifFlowPut,
  type DpifOp,
  type DpifUpcall,
  type Nest,
} from '../../dpif/dpif-types.ts';
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlow, setField } from '../../flow/flow-key.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { ODP_FIT } from '../../odp/key/fitness.ts';
import { OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { odpKeyToFlow, odpMaskToFlow } from '../../odp/key/odp-key.ts';
import { NETDEV_SUPPORT, odpKeyFromFlow, odpKeyFromMask } from '../../odp/key/odp-key-build.ts';
import { formatUfid } from '../../odp/odp-ufid.ts';
import { findAttr, readAttrs } from '../../odp/text/odp-attr-list.ts';
import { formatOdpActions } from '../../odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../odp/text/odp-format-key.ts';
import { UfidMap } from '../../odp/ufid-map.ts';
import { flowUfid } from '../../ofproto/udpif/flow-ufid.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { withoutPids } from './dummy-pids.ts';

const log = vlog('dpif_netdev');
const limit = new RateLimit(600, 600);
const portLimit = new RateLimit(1, 5);
const MAX_VLANS = 2;

interface KeyAndMask {
  readonly key: Nest;
  readonly mask: Nest | undefined;
}

/** What the datapath in this process does not keep of a flow. */
interface Remembered {
  readonly key: Nest;
  readonly isTypeMatched: boolean;
}

/** Masks without a packet type. */
const UNTYPED_SUPPORT = { ...NETDEV_SUPPORT, packetType: false };

const flow = newFlow();
const wc = newFlow();

/** All bits of a packet's fields: the mask of a flow without one. */
function setExact(mask: FlowMask, of: FlowKey): void {
  mask.fill(-1);
  // The states that userspace knows of.
  setField(mask, FIELD.ctState, 0xff);
  if (getField(of, FIELD.tunPresent) === 0) mask.fill(0, FIELD.tunId.word, FIELD.reg0.word);
  // Types and codes of ICMP have a byte of their own.
  const proto = getField(of, FIELD.nwProto);
  if (proto === 1 || proto === 58) mask[FIELD.tpSrc.word] = (mask[FIELD.tpSrc.word] as number) & 0x00ff00ff;
}

/** As userspace writes them; as they are if they make no sense to it. */
function inUserspace({ key, isTypeMatched }: Remembered, mask: Nest | undefined, isFlow = true): KeyAndMask {
  if (odpKeyToFlow(key, flow, MAX_VLANS) === ODP_FIT.ERROR) return { key, mask };
  const shown = odpKeyFromFlow(flow, NETDEV_SUPPORT);
  if (!isFlow) return { key: shown, mask: undefined };
  if (mask === undefined) setExact(wc, flow);
  else if (odpMaskToFlow(mask, wc, flow, MAX_VLANS) === ODP_FIT.ERROR) return { key: shown, mask };
  return { key: shown, mask: odpKeyFromMask(wc, flow, isTypeMatched ? NETDEV_SUPPORT : UNTYPED_SUPPORT) };
}

/** A flow is of one recirculation id to a datapath in userspace, whether it was put with one or not.  `id`: -1 in a mask. */
function withRecircId(nest: Nest, id: number): Nest {
  if (findAttr(readAttrs(nest).attrs, OVS_KEY_ATTR.RECIRC_ID) !== undefined) return nest;
  const w = new MessageWriter(nest.length + 8);
  w.attrU32(OVS_KEY_ATTR.RECIRC_ID, id);
  return Buffer.concat([w.bytes.subarray(0, w.size), nest]);
}

/** A put as the datapath in this process has to see it. */
export const ofOneRecircId = (op: DpifFlowPut): DpifFlowPut => ({
  ...op,
  key: withRecircId(op.key, 0),
  ...(op.mask && { mask: withRecircId(op.mask, -1) }),
});

/** Whether a flow is of one port, as all flows of a datapath in userspace have to be; says in the log if it is not. */
export function isOfOnePort({ mask, flags }: DpifFlowPut): boolean {
  if (mask === undefined || mask.length === 0) return true;
  const port = findAttr(readAttrs(mask).attrs, OVS_KEY_ATTR.IN_PORT)?.data;
  if (port?.every((byte) => byte === 0xff)) return true;
  const what = (flags & DPIF_FP.CREATE) !== 0 ? '[create]' : (flags & DPIF_FP.MODIFY) !== 0 ? '[modify]' : '[zero]';
  log.err(`failed to put${what} flow: in_port is not an exact match`, portLimit);
  return false;
}

const matchesType = (mask: Nest): boolean => findAttr(readAttrs(mask).attrs, OVS_KEY_ATTR.PACKET_TYPE) !== undefined;

const remembered = ({ key, mask }: DpifFlowPut, isByHand: boolean): Remembered => ({
  key,
  isTypeMatched: !isByHand || mask === undefined || matchesType(mask),
});

/** Those of one datapath. */
export class DummyFlows {
  private readonly known = new UfidMap<Remembered>();

  shown(dumped: DpifFlow): DpifFlow {
    const actions = dumped.actions && withoutPids(dumped.actions);
    if (dumped.key === undefined) return { ...dumped, actions };
    const flow = (dumped.ufid !== undefined && this.known.get(dumped.ufid)) || { key: dumped.key, isTypeMatched: true };
    return { ...dumped, ...inUserspace(flow, dumped.mask), actions, isOfMainThread: true };
  }

  /** Key and mask of a put as userspace would have written them. */
  written(op: DpifFlowPut, isByHand: boolean): KeyAndMask {
    return inUserspace((op.ufid !== undefined && this.known.get(op.ufid)) || remembered(op, isByHand), op.mask);
  }

  /** Takes note of an operation that succeeded.  `isByHand`: it came from a command, not from the switch, which matches all packet types. */
  done(op: DpifOp, isByHand: boolean): void {
    if (op.type === 'put') this.put(op, isByHand);
    else if (op.type === 'del' && op.ufid !== undefined) this.known.delete(op.ufid);
  }

  flushed(): void {
    this.known.clear();
  }

  private put(op: DpifFlowPut, isByHand: boolean): void {
    const isNew = (op.flags & DPIF_FP.CREATE) !== 0;
    const put = remembered(op, isByHand);
    if (op.ufid !== undefined && isNew && this.known.get(op.ufid) === undefined) this.known.set(op.ufid, put);
    // A probe is a flow like any other to the datapath, but gone at once.
    if ((op.flags & DPIF_FP.PROBE) !== 0) return;
    log.dbg(() => {
      const flow = (op.ufid !== undefined && this.known.get(op.ufid)) || put;
      const { key, mask } = inUserspace(flow, op.mask);
      const mega = formatUfid(flowUfid(Buffer.concat([key, mask ?? key])));
      const ufid = op.ufid === undefined ? '' : `${formatUfid(op.ufid)} `;
      return `flow_${isNew ? 'add' : 'mod'}: ${ufid}mega_${mega} ${formatOdpFlow(key, mask)}, actions:${formatOdpActions(op.actions)}`;
    }, limit);
  }

  /** Logs packets that go up. */
  heard(upcalls: readonly DpifUpcall[], name: string): void {
    if (!log.isEnabled('dbg')) return;
    for (const { type, key, packet } of upcalls) {
      log.dbg(() => {
        const what = type === DPIF_UC.MISS ? 'miss' : 'action';
        const whole = formatOdpFlow(inUserspace({ key, isTypeMatched: true }, undefined, false).key, undefined, {
          verbose: true,
        });
        return `${name}: ${what} upcall:\n${whole}\n${Buffer.from(packet).toString('hex')}`;
      }, limit);
    }
  }
}
