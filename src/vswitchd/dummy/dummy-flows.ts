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
import { formatOdpActions } from '../../odp/odp-format-actions.ts';
import { formatOdpFlow } from '../../odp/odp-format-key.ts';
import { ODP_FIT, odpKeyToFlow, odpMaskToFlow } from '../../odp/odp-key.ts';
import { NETDEV_SUPPORT, odpKeyFromFlow, odpKeyFromMask } from '../../odp/odp-key-build.ts';
import { formatUfid } from '../../odp/odp-ufid.ts';
import { UfidMap } from '../../odp/ufid-map.ts';
import { flowUfid } from '../../ofproto/udpif/flow-ufid.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { withoutPids } from './dummy-pids.ts';

const log = vlog('dpif_netdev');
const limit = new RateLimit(600, 600);
const MAX_VLANS = 2;

interface KeyAndMask {
  readonly key: Nest;
  readonly mask: Nest | undefined;
}

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
function inUserspace(key: Nest, mask: Nest | undefined, isFlow = true): KeyAndMask {
  if (odpKeyToFlow(key, flow, MAX_VLANS) === ODP_FIT.ERROR) return { key, mask };
  const shown = odpKeyFromFlow(flow, NETDEV_SUPPORT);
  if (!isFlow) return { key: shown, mask: undefined };
  if (mask === undefined) setExact(wc, flow);
  else if (odpMaskToFlow(mask, wc, flow, MAX_VLANS) === ODP_FIT.ERROR) return { key: shown, mask };
  return { key: shown, mask: odpKeyFromMask(wc, flow, NETDEV_SUPPORT) };
}

/** Those of one datapath. */
export class DummyFlows {
  /** The whole keys of flows. */
  private readonly keys = new UfidMap<Nest>();

  shown(dumped: DpifFlow): DpifFlow {
    const actions = dumped.actions && withoutPids(dumped.actions);
    if (dumped.key === undefined) return { ...dumped, actions };
    const whole = (dumped.ufid !== undefined && this.keys.get(dumped.ufid)) || dumped.key;
    return { ...dumped, ...inUserspace(whole, dumped.mask), actions, isOfMainThread: true };
  }

  /** Takes note of an operation that succeeded. */
  done(op: DpifOp): void {
    if (op.type === 'put') this.put(op);
    else if (op.type === 'del' && op.ufid !== undefined) this.keys.delete(op.ufid);
  }

  flushed(): void {
    this.keys.clear();
  }

  private put(op: DpifFlowPut): void {
    const isNew = (op.flags & DPIF_FP.CREATE) !== 0;
    if (op.ufid !== undefined && isNew && this.keys.get(op.ufid) === undefined) this.keys.set(op.ufid, op.key);
    // A probe is a flow like any other to the datapath, but gone at once.
    if ((op.flags & DPIF_FP.PROBE) !== 0) return;
    log.dbg(() => {
      const whole = (op.ufid !== undefined && this.keys.get(op.ufid)) || op.key;
      const { key, mask } = inUserspace(whole, op.mask);
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
        const whole = formatOdpFlow(inUserspace(key, undefined, false).key, undefined, { verbose: true });
        return `${name}: ${what} upcall:\n${whole}\n${Buffer.from(packet).toString('hex')}`;
      }, limit);
    }
  }
}
