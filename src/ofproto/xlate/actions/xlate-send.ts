/**
 * Actions that send the packet with something besides: to a queue, shortened, to a port that a field names or a hash chooses.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_enqueue_action, xlate_output_trunc_action, xlate_output_reg_action), lib/dpif-netlink.c
 * (dpif_netlink_queue_to_priority).
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField, setField, setFieldOnes } from '../../../flow/flow-key.ts';
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import { getSubfield, maskSubfield } from '../../../openflow/fields/mf-subfield.ts';
import { formatPort } from '../../../openflow/ofp-names.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { formatHex } from '../../../openflow/ofp-text.ts';
import type { Ofpact, OfpactEnqueue, OfpactOutputReg, OfpactOutputTrunc } from '../../../openflow/ofpact.ts';
import { ODPP_NONE } from '../../ports/bundle.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { reportError, reportInfo } from '../xlate-report.ts';
import { xlateBundle, xlateMultipath } from './xlate-hash.ts';

/** Queues from here on have no traffic class. */
const N_QUEUES = 0xf000;

/** Kernel priority of a queue: class 1:(queue + 1) of the port's queueing discipline; undefined if there is none. */
export const queuePriority = (queue: number): number | undefined => (queue < N_QUEUES ? 0x10001 + queue : undefined);

const priorityOf = ({ bridge }: XlateCtx, queue: number): number | undefined =>
  bridge.queuePriority === undefined ? queuePriority(queue) : bridge.queuePriority(queue);

/** Ports that stand for something else than one port. */
// biome-ignore format: names, several on a line
const NOT_ONE: ReadonlySet<number> = new Set([
  OFPP.TABLE, OFPP.NORMAL, OFPP.FLOOD, OFPP.ALL, OFPP.CONTROLLER, OFPP.NONE,
]);

/** Sends the packet out of an OpenFlow port, reserved ones too: `maxLen` bytes if it is CONTROLLER. */
export type Output = (port: number, maxLen: number) => void;

function enqueue(ctx: XlateCtx, a: OfpactEnqueue, output: Output): void {
  const priority = priorityOf(ctx, a.queue);
  if (priority === undefined) {
    output(a.port, 0);
    return;
  }
  const port = a.port === OFPP.IN_PORT ? ctx.ofpInPort : a.port;
  if (port === ctx.ofpInPort && a.port !== OFPP.IN_PORT) return;
  const before = getField(ctx.flow, FIELD.skbPriority);
  setField(ctx.flow, FIELD.skbPriority, priority);
  output(a.port, 0);
  setField(ctx.flow, FIELD.skbPriority, before);
}

/** What is cut off lasts for the next output, whatever it is: so there has to be one. */
function outputTrunc(ctx: XlateCtx, a: OfpactOutputTrunc, output: Output): void {
  if (NOT_ONE.has(a.port)) {
    ctx.trace?.warn(`output_trunc does not support port: ${formatPort(a.port)}`);
    return;
  }
  if (a.port === ctx.ofpInPort) {
    reportInfo(ctx, 'skipping output to input port');
    return;
  }
  const port = ctx.bridge.xport(a.port === OFPP.IN_PORT ? ctx.ofpInPort : a.port);
  // Patch ports have no number in the datapath: what would be cut is some later output.
  if (a.port !== OFPP.IN_PORT && (port === undefined || port.odpPort === ODPP_NONE)) {
    reportError(ctx, `output_trunc does not support patch port ${formatPort(a.port)}`);
    return;
  }
  const { size } = ctx.out;
  ctx.out.trunc(a.maxLen);
  const cut = ctx.out.size;
  output(a.port, 0);
  if (ctx.out.size === cut) ctx.out.truncate(size);
  if (!ctx.support.trunc) ctx.slow |= SLOW_PATH.ACTION;
}

function outputReg(ctx: XlateCtx, a: OfpactOutputReg, output: Output): void {
  const port = getSubfield(a.src, ctx.flow);
  if (port > 0xffff) {
    ctx.trace?.warn(`output port ${port} is out of range`);
    return;
  }
  ctx.trace?.detail(`output port is ${port}`);
  maskSubfield(a.src, ctx.wc);
  output(port, a.maxLen);
}

/** Carries out `a` if it is one of these; false if it is another. */
export function xlateSend(ctx: XlateCtx, a: Ofpact, output: Output): boolean {
  switch (a.kind) {
    case 'enqueue':
      setFieldOnes(ctx.wc, FIELD.skbPriority);
      enqueue(ctx, a, output);
      return true;
    case 'set_queue': {
      setFieldOnes(ctx.wc, FIELD.skbPriority);
      const priority = priorityOf(ctx, a.queue);
      if (priority !== undefined) setField(ctx.flow, FIELD.skbPriority, priority);
      return true;
    }
    case 'pop_queue':
      setFieldOnes(ctx.wc, FIELD.skbPriority);
      if (getField(ctx.flow, FIELD.skbPriority) !== ctx.arrivedPriority) {
        setField(ctx.flow, FIELD.skbPriority, ctx.arrivedPriority);
        ctx.trace?.detail(`queue = ${formatHex(ctx.arrivedPriority >>> 0)}`);
      }
      return true;
    case 'output_trunc':
      outputTrunc(ctx, a, output);
      return true;
    case 'output_reg':
      outputReg(ctx, a, output);
      return true;
    case 'multipath':
      xlateMultipath(ctx, a);
      return true;
    case 'bundle': {
      const port = xlateBundle(ctx, a);
      if (port !== undefined) output(port, 0);
      return true;
    }
    default:
      return false;
  }
}
