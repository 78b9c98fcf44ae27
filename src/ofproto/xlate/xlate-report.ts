/**
 * What goes wrong in a translation: into the trace if there is one, else, if a real packet met it, into the log.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_report_error, xlate_report_info).
 */
import { formatFlow } from '../../openflow/match/flow-format.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { OFT } from './trace/xlate-trace.ts';
import type { XlateCtx } from './xlate-ctx.ts';

const log = vlog('ofproto_dpif_xlate');
const errorLimit = new RateLimit(1, 5);
const infoLimit = new RateLimit(1, 5);

const where = (ctx: XlateCtx): string => ` on bridge ${ctx.bridge.name} while processing ${formatFlow(ctx.base)}`;

/** Reports that the packet can not be handled as its rules say. */
export function reportError(ctx: XlateCtx, text: string): void {
  if (ctx.trace !== undefined) ctx.trace.report(OFT.ERROR, text);
  else if (ctx.hasPacket) log.warn(() => text + where(ctx), errorLimit);
}

/** Reports what may surprise, but is as it should be. */
export function reportInfo(ctx: XlateCtx, text: string): void {
  if (ctx.trace !== undefined) ctx.trace.report(OFT.WARN, text);
  else if (ctx.hasPacket) log.info(() => text + where(ctx), infoLimit);
}
