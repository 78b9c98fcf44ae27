/**
 * Actions that the datapath decides: check_pkt_larger asks it for the length of the packet and goes on in two ways; sample sends some packets
 * up, for IPFIX.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_check_pkt_larger, xlate_sample_action, compose_sample_action).
 */
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import { encodeCookie, SAMPLE_DIRECTION } from '../../../odp/user-action-cookie.ts';
import { setSubfield } from '../../../openflow/fields/mf-subfield.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { Ofpact, OfpactCheckPktLarger, OfpactSample } from '../../../openflow/ofpact.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { reportError } from '../xlate-report.ts';
import { finishClone, type Runner } from './xlate-clone.ts';

/**
 * Carries out `rest`, the actions after this one, for both outcomes, and returns true: nothing of the list is left then.  Where the datapath cannot
 * tell, the packet at hand decides, each one in userspace, and the list goes on.
 */
export function xlateCheckPktLarger(
  ctx: XlateCtx,
  a: OfpactCheckPktLarger,
  rest: readonly Ofpact[],
  runner: Runner,
): boolean {
  if (!ctx.support.checkPktLen) {
    setSubfield(a.dst, ctx.packetSize > a.length ? 1 : 0, ctx.flow);
    ctx.slow |= SLOW_PATH.ACTION;
    return false;
  }
  ctx.commit();
  const { stack, actionSet, wasMpls, conntracked, exit } = ctx;
  const flow = ctx.flow.slice();
  const base = ctx.base.slice();
  const branch = (isGreater: boolean): void => {
    ctx.stack = [...stack];
    ctx.actionSet = [...actionSet];
    ctx.exit = false;
    setSubfield(a.dst, isGreater ? 1 : 0, ctx.flow);
    runner.list(rest, ctx, true);
    finishClone(ctx, runner);
    ctx.base.set(base);
    ctx.flow.set(flow);
    Object.assign(ctx, { wasMpls, conntracked });
  };
  ctx.out.checkPktLen(
    a.length,
    () => branch(true),
    () => branch(false),
  );
  Object.assign(ctx, { stack, actionSet, exit });
  return true;
}

const ALL = 0xffffffff;
const NO_PORT = 0xffffffff;

export function xlateSample(ctx: XlateCtx, a: OfpactSample): void {
  // Without an exporter nobody would want the samples.
  if (ctx.bridge.samplesFlows !== true) return;
  let outputOdpPort = NO_PORT;
  if (a.samplingPort !== OFPP.NONE && a.samplingPort !== ctx.ofpInPort) {
    const port = ctx.bridge.xport(a.samplingPort);
    if (port === undefined) {
      reportError(ctx, `can't use unknown port ${a.samplingPort} in flow sample action`);
      return;
    }
    outputOdpPort = port.odpPort;
  }
  ctx.commit();
  if (a.probability === 0) return;
  const userdata = encodeCookie({
    type: 'flowSample',
    ofpInPort: ctx.ofpInPort,
    ofprotoUuid: ctx.bridge.uuid,
    probability: a.probability,
    collectorSetId: a.collectorSetId,
    obsDomainId: a.obsDomainId,
    obsPointId: a.obsPointId,
    outputOdpPort,
    direction: DIRECTIONS[a.direction],
  });
  const pid = ctx.bridge.upcallPid(ctx.ofpInPort);
  // The same share of 2^32 - 1 as of 2^16 - 1.
  const probability = a.probability * 0x10001;
  if (probability >= ALL) ctx.out.userspace(pid, { userdata });
  else ctx.out.sample(probability, (list) => list.userspace(pid, { userdata }));
}

const DIRECTIONS = {
  default: SAMPLE_DIRECTION.DEFAULT,
  ingress: SAMPLE_DIRECTION.INGRESS,
  egress: SAMPLE_DIRECTION.EGRESS,
} as const;
