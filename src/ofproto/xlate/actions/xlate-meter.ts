/**
 * Meters in a translation: the instruction, and those of what goes to userspace.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_meter_action, xlate_controller_action), ofproto/ofproto-dpif-upcall.c (compose_slow_path).
 */
import type { OdpActionsBuilder } from '../../../odp/odp-actions.ts';
import { METER } from '../../../openflow/messages/switch/switch-types.ts';
import type { XBridge } from '../xbridge.ts';
import type { XlateCtx } from '../xlate-ctx.ts';

/** All of 2^32 - 1 packets. */
const ALWAYS = 0xffffffff;

/** Passes the packet through OpenFlow meter `number`; one that is not there lets all pass. */
export function xlateMeter(ctx: XlateCtx, number: number): void {
  const id = ctx.bridge.meter?.(number);
  if (id !== undefined) ctx.out.meter(id);
}

/** What `put` adds sends to userspace what meter `id` of the datapath lets pass, and the packet goes on; undefined: all. */
function metered(out: OdpActionsBuilder, id: number | undefined, put: () => void): void {
  if (id === undefined) {
    put();
    return;
  }
  out.sample(ALWAYS, (list) => {
    list.meter(id);
    put();
  });
}

/** `put` adds what sends to a controller.  `number` is the action's own meter: without it (0) that of all such actions counts. */
export function meteredController(bridge: XBridge, out: OdpActionsBuilder, number: number, put: () => void): void {
  const own = number === 0 ? undefined : bridge.meter?.(number);
  metered(out, own ?? bridge.meter?.(METER.CONTROLLER), put);
}

/** `put` adds what has userspace look at the packet. */
export function meteredSlowPath(bridge: XBridge, out: OdpActionsBuilder, put: () => void): void {
  metered(out, bridge.meter?.(METER.SLOWPATH), put);
}
