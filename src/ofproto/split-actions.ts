/**
 * Cuts an action list that is too long for a netlink attribute into several that do the same one after the other.
 *
 * Each packet is executed anew, so that a part begins with all that changed the packet in the parts before it: everything
 * but outputs and what goes to userspace.  Only userspace can do this: a flow with such a list goes the slow path.
 * Source: lib/dpif.c (dpif_execute_with_help).
 */
import { OVS_ACTION_ATTR } from '../odp/action-attrs.ts';
import { attrsOf } from './nest.ts';

/** Actions that leave the packet as it is. */
const HARMLESS: ReadonlySet<number> = new Set([OVS_ACTION_ATTR.OUTPUT, OVS_ACTION_ATTR.USERSPACE]);

/** The parts of `actions`, `maxSize` bytes at most each, except where a single action with its preparation is larger. */
export function splitActions(actions: Uint8Array, maxSize: number): Uint8Array[] {
  if (actions.length <= maxSize) return [actions];
  const parts: Uint8Array[] = [];
  const preparation: Uint8Array[] = [];
  let part: Uint8Array[] = [];
  let size = 0;
  for (const { type, whole } of attrsOf(actions)) {
    if (size + whole.length > maxSize && part.length > preparation.length) {
      parts.push(Buffer.concat(part));
      part = [...preparation];
      size = part.reduce((sum, a) => sum + a.length, 0);
    }
    part.push(whole);
    size += whole.length;
    if (!HARMLESS.has(type)) preparation.push(whole);
  }
  parts.push(Buffer.concat(part));
  return parts;
}
