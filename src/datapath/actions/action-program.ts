/**
 * What a list of actions becomes when it is installed: a program of int32 words that `actions.ts` runs, beside the
 * netlink bytes that it came from (for dumps and for upcalls).  `compile-actions.ts` makes it.
 *
 * A program is a run of instructions:
 *
 *     | op | n | n argument words ... | op | n | ...
 *
 * Ops are OVS_ACTION_ATTR numbers, but for those below 0 here, into which SET and SET_MASKED are turned.  An instruction
 * that holds a list of actions has that list's instructions as its last argument words, so that a program is one array
 * and a nested list a range of it.
 *
 *     OUTPUT         port
 *     USERSPACE      portId, userdata offset, userdata size, egress port or -1, actions offset, actions size
 *                    (offsets into `bytes`; size -1 where there are none)
 *     PUSH_VLAN      tpid << 16 | tci (with VLAN_CFI)
 *     RECIRC         id
 *     HASH           basis
 *     TRUNC          bytes
 *     PUSH_MPLS      label stack entry, ethertype
 *     ADD_MPLS       label stack entry, ethertype, 1 behind the Ethernet header or 0 before it
 *     POP_MPLS       ethertype
 *     PUSH_ETH       the 12 bytes of addresses as in a frame: 3 words
 *     SAMPLE         probability, in place, list ...
 *     CLONE          in place, list ...
 *     CHECK_PKT_LEN  bytes, in place if <=, in place if >, words of the first list, list if <= ..., list if > ...
 *     PUSH_NSH       the header: 2 to 63 words
 *     METER          id
 *     DROP           reason
 *     PSAMPLE        group, cookie offset, cookie size or -1 (as for USERSPACE)
 *     CT             which of `cts`
 *     SET_TUNNEL     which of `tunnels`
 *     END            nothing: the list ends with a packet that no action has used up
 *     SET_*          value words, then as many mask words; see set-field.ts
 *
 * "In place" is 1 if the list cannot change what the actions after it see of the flow key, or if none come after it.
 * Source: include/uapi/linux/openvswitch.h.
 */

import type { CtArgs } from '../conntrack/ct-args.ts';
import type { TunnelInfo } from '../tunnel/tunnel-info.ts';

/** Ops that OVS_ACTION_ATTR has no number for: one for each kind of header that can be set, and the end of a list. */
// biome-ignore format: table
export const SET_OP = {
  PRIORITY: -1, SKB_MARK: -2, ETHERNET: -3, IPV4: -4, IPV6: -5, TCP: -6, UDP: -7, SCTP: -8, MPLS: -9,
  TUNNEL: -12,
  CT: -10, //  Mark or labels of conntrack: may be installed, but drops; only a ct action sets them.
  END: -11, // What is left of the packet is dropped.
  SCTP_UNPADDED: -13, // As the datapath in userspace: a frame's padding is no part of what the checksum covers.
} as const;

export interface ActionProgram {
  /** The instructions. */
  readonly code: Int32Array;
  /** Arguments of its CT actions, if there are any. */
  readonly cts?: readonly CtArgs[];
  /** What its SET_TUNNEL instructions set, if there are any. */
  readonly tunnels?: readonly TunnelInfo[];
  /** The action list as it was sent: the payload of OVS_FLOW_ATTR_ACTIONS. */
  readonly bytes: Uint8Array;
}

/** Appends an instruction to a program in the making. */
export function emitAction(code: number[], op: number, ...args: number[]): void {
  code.push(op, args.length, ...args);
}

/** Does nothing, that is, drops. */
export const EMPTY_PROGRAM: ActionProgram = { code: new Int32Array(0), bytes: new Uint8Array(0) };
