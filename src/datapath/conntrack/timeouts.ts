/**
 * How long connections live without traffic: the kernel's defaults, and named policies in their place, which an action's
 * OVS_CT_ATTR_TIMEOUT asks for and ctnetlink-timeout messages define.  All times are in ms.
 * Sources: net/netfilter/nf_conntrack_proto_*.c, include/uapi/linux/netfilter/nfnetlink_cttimeout.h.
 */
import { PROTO } from './ct-constants.ts';

const seconds = (...list: number[]): Float64Array => Float64Array.from(list, (s) => 1000 * s);

/** Places in a UDP or GRE list. */
export const STREAM_TIMEOUT = { UNREPLIED: 0, REPLIED: 1 } as const;
/** Places in a TCP list behind those of the states. */
export const TCP_TIMEOUT = { RETRANS: 10, UNACK: 11 } as const;

/** By protocol; TCP and SCTP by their states (tcp-state.ts, sctp.ts). */
// biome-ignore format: table
const DEFAULTS: Readonly<Record<number, Float64Array>> = {
  //                  NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 RETRANS UNACK
  [PROTO.TCP]: seconds(0,  120,     60,      432_000,    120,     60,        30,      120,      10,   120,      300,    300),
  [PROTO.UDP]: seconds(30, 120),
  [PROTO.UDPLITE]: seconds(30, 180),
  [PROTO.GRE]: seconds(30, 180),
  [PROTO.ICMP]: seconds(30),
  [PROTO.ICMPV6]: seconds(30),
  //                   NONE CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT HEARTBEAT_SENT
  [PROTO.SCTP]: seconds(10, 10,    3,          3,            210,        3,            3,            3,                30),
};
const GENERIC = seconds(600);

export const defaultTimeouts = (proto: number): Float64Array => DEFAULTS[proto] ?? GENERIC;

/** A named policy for one protocol.  `l3`: NFPROTO. */
export interface TimeoutPolicy {
  readonly id: number;
  readonly name: string;
  readonly l3: number;
  readonly proto: number;
  readonly timeouts: Float64Array;
}

/** Names are up to 31 characters (CTNL_TIMEOUT_NAME_MAX with its NUL). */
export class TimeoutPolicies {
  private readonly byName = new Map<string, TimeoutPolicy>();
  /** Also those that were deleted, for the connections that still use them. */
  private readonly byId: (TimeoutPolicy | undefined)[] = [undefined];

  /**
   * Defines a policy; times that are not given are the default ones.  One that exists is changed, for the connections
   * that have it too.  Throws RangeError if it exists for another protocol.
   */
  set(name: string, l3: number, proto: number, given: readonly (number | undefined)[]): TimeoutPolicy {
    const old = this.byName.get(name);
    if (old !== undefined && (old.l3 !== l3 || old.proto !== proto)) {
      throw new RangeError(`timeout policy ${name}: is for another protocol`);
    }
    const base = defaultTimeouts(proto);
    const policy = old ?? { id: this.byId.length, name, l3, proto, timeouts: new Float64Array(base.length) };
    for (let i = 0; i < base.length; i++) policy.timeouts[i] = given[i] ?? base[i]!;
    if (old === undefined) {
      this.byName.set(name, policy);
      this.byId.push(policy);
    }
    return policy;
  }

  get(name: string): TimeoutPolicy | undefined {
    return this.byName.get(name);
  }
  delete(name: string): boolean {
    return this.byName.delete(name);
  }
  all(): IterableIterator<TimeoutPolicy> {
    return this.byName.values();
  }

  /** The times of policy `id` for a connection of `proto`; the defaults for 0.  Hot path. */
  of(id: number, proto: number): Float64Array {
    return id === 0 ? defaultTimeouts(proto) : (this.byId[id]?.timeouts ?? defaultTimeouts(proto));
  }
}
