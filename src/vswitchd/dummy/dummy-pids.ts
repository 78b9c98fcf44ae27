/**
 * Userspace actions as a datapath inside of a vswitchd shows them: with port id 0, as there is nobody to send to but itself.  The datapath in
 * this process takes no 0; going in, it is replaced by the id that stands for "whoever handles this processor's packets".
 * Source: lib/dpif-netdev.c, net/openvswitch/flow_netlink.c (validate_userspace).
 */
import { DPIF_PER_CPU_PID } from '../../dpif/dpif.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR as C,
  OVS_SAMPLE_ATTR as S,
  OVS_USERSPACE_ATTR as U,
} from '../../odp/action-attrs.ts';
import { attrsOf, u32Of } from '../../ofproto/udpif/nest.ts';

/** Finds the port ids of userspace actions in `actions`, nested ones too. */
function* pidsOf(actions: Uint8Array): Generator<Uint8Array> {
  for (const { type, payload } of attrsOf(actions)) {
    if (type === A.USERSPACE) {
      for (const a of attrsOf(payload)) if (a.type === U.PID && a.payload.length === 4) yield a.payload;
    } else if (type === A.CLONE) yield* pidsOf(payload);
    else if (type === A.SAMPLE || type === A.CHECK_PKT_LEN) {
      for (const a of attrsOf(payload)) {
        const isList = type === A.SAMPLE ? a.type === S.ACTIONS : a.type !== C.PKT_LEN;
        if (isList) yield* pidsOf(a.payload);
      }
    }
  }
}

function replaced(actions: Uint8Array, from: number, to: number): Uint8Array {
  let isFound = false;
  for (const pid of pidsOf(actions)) isFound ||= u32Of(pid) === from;
  if (!isFound) return actions;
  // Not slice(), which copies nothing of a Buffer.
  const copy = new Uint8Array(actions);
  for (const pid of pidsOf(copy)) pid.set(new Uint8Array(Uint32Array.of(to).buffer));
  return copy;
}

/** Actions for the datapath. */
export const withPids = (actions: Uint8Array): Uint8Array => replaced(actions, 0, DPIF_PER_CPU_PID);
/** Actions from the datapath. */
export const withoutPids = (actions: Uint8Array): Uint8Array => replaced(actions, DPIF_PER_CPU_PID, 0);
