/**
 * Cuts an action list that is too long for a netlink attribute into several that do the same one after the other.
 *
 * Each packet is executed anew, so that a part begins with all that changed the packet in the parts before it: everything
 * but outputs, what goes to userspace, and what works on a copy.  Only userspace can do this: a flow with such a list goes the slow path.
 * Source: lib/dpif.c (dpif_execute_with_help).
 */
import { OVS_ACTION_ATTR } from '../../../odp/action-attrs.ts';
import { attrsOf, typeOf } from '../../udpif/nest.ts';

const A = OVS_ACTION_ATTR;
/** Actions that leave the packet as it is: they send it, work on a copy, or are about the next output only. */
const HARMLESS: ReadonlySet<number> = new Set([
  ...[A.OUTPUT, A.USERSPACE, A.RECIRC, A.CLONE, A.SAMPLE, A.CHECK_PKT_LEN, A.PSAMPLE, A.TRUNC],
]);

/** Whether `action`, an attribute with its header, changes the packet for those that come after it. */
export const changesPacket = (action: Uint8Array): boolean => !HARMLESS.has(typeOf(action));

/** The parts of `actions`, `maxSize` bytes at most each, except where a single action with its preparation is larger. */
export function splitActions(actions: Uint8Array, maxSize: number): Uint8Array[] {
  if (actions.length <= maxSize) return [actions];
  const parts: Uint8Array[] = [];
  const preparation: Uint8Array[] = [];
  let part: Uint8Array[] = [];
  let size = 0;
  let wasTrunc = false;
  for (const { type, whole } of attrsOf(actions)) {
    if (size + whole.length > maxSize && part.length > preparation.length && !wasTrunc) {
      parts.push(Buffer.concat(part));
      part = [...preparation];
      size = part.reduce((sum, a) => sum + a.length, 0);
    }
    part.push(whole);
    size += whole.length;
    wasTrunc = type === A.TRUNC;
    if (!HARMLESS.has(type)) preparation.push(whole);
  }
  parts.push(Buffer.concat(part));
  return parts;
}
