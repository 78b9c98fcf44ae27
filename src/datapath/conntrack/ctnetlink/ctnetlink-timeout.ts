/**
 * Timeout policies as ctnetlink-timeout messages.  ovs-vswitchd makes one for each protocol of a zone's policy, and names
 * them ovs_tp_ID_PROTOCOL.
 *
 *     [NAME] [L3PROTO be16] [L4PROTO u8] [DATA [1 be32 seconds] [2 ...] ...]
 *
 * Source: net/netfilter/nfnetlink_cttimeout.c.
 */
import { NLA_F_NESTED, NLM_F } from '../../../netlink/constants.ts';
import { NetlinkError } from '../../../netlink/errors.ts';
import { CTA_TIMEOUT } from '../../../netlink/families/ctnetlink.ts';
import { AttrCursor, type MessageWriter } from '../../../netlink/message.ts';
import { ERRNO } from '../../../util/errno.ts';
import { PROTO } from '../ct-constants.ts';
import { defaultTimeouts, type TimeoutPolicies, type TimeoutPolicy } from '../timeouts.ts';

const MAX_NAME = 31;

/** Place in the list of attribute 1: lists by state begin with one that is not shown. */
const firstOf = (proto: number): number => (proto === PROTO.TCP || proto === PROTO.SCTP ? 0 : -1);

interface PolicyAttrs {
  name: string;
  l3: number;
  proto: number;
  /** Of the attribute DATA. */
  data: AttrCursor | undefined;
}

function readAttrs(it: AttrCursor): PolicyAttrs {
  const attrs: PolicyAttrs = { name: '', l3: 0, proto: 0, data: undefined };
  while (it.next()) {
    switch (it.type) {
      case CTA_TIMEOUT.NAME:
        attrs.name = readName(it);
        break;
      case CTA_TIMEOUT.L3PROTO:
        it.want(2);
        attrs.l3 = it.dv.getUint16(it.at);
        break;
      case CTA_TIMEOUT.L4PROTO:
        it.want(1);
        attrs.proto = it.dv.getUint8(it.at);
        break;
      case CTA_TIMEOUT.DATA:
        attrs.data = new AttrCursor(it.dv, it.at, it.at + it.size, 'CTA_TIMEOUT_DATA');
        break;
      default:
    }
  }
  return attrs;
}

/** Reads what says which policy is meant; times are the default ones. */
export function readPolicyName(it: AttrCursor): TimeoutPolicy {
  const { name, l3, proto } = readAttrs(it);
  return { id: 0, name, l3, proto, timeouts: defaultTimeouts(proto) };
}

function readName(it: AttrCursor): string {
  const bytes = Buffer.from(it.dv.buffer, it.dv.byteOffset + it.at, it.size);
  const nul = bytes.indexOf(0);
  const size = nul < 0 ? bytes.length : nul;
  if (size === 0 || size > MAX_NAME) throw new NetlinkError(ERRNO.ERANGE, 'timeout policy name');
  return bytes.toString('latin1', 0, size);
}

/**
 * Defines a policy.  Throws NetlinkError EINVAL if something is missing, EEXIST if it exists and may not be replaced, EBUSY
 * if it exists for another protocol.
 */
export function setPolicy(policies: TimeoutPolicies, it: AttrCursor, flags: number): void {
  const { name, l3, proto, data } = readAttrs(it);
  if (name === '' || l3 === 0 || proto === 0 || data === undefined)
    throw new NetlinkError(ERRNO.EINVAL, 'timeout policy');
  const given: (number | undefined)[] = [];
  while (data.next()) {
    data.want(4);
    given[data.type + firstOf(proto)] = 1000 * data.dv.getUint32(data.at);
  }
  const old = policies.get(name);
  if (old !== undefined) {
    if ((flags & NLM_F.EXCL) !== 0) throw new NetlinkError(ERRNO.EEXIST, name);
    if ((flags & NLM_F.REPLACE) === 0) throw new NetlinkError(ERRNO.EBUSY, name);
    if (old.l3 !== l3 || old.proto !== proto) throw new NetlinkError(ERRNO.EINVAL, name);
  }
  policies.set(name, l3, proto, given);
}

/** Deletes one policy, or all.  Throws NetlinkError ENOENT if there is none of that name. */
export function deletePolicy(policies: TimeoutPolicies, it: AttrCursor): void {
  const { name } = readPolicyName(it);
  if (name === '') {
    for (const policy of [...policies.all()]) policies.delete(policy.name);
  } else if (!policies.delete(name)) {
    throw new NetlinkError(ERRNO.ENOENT, name);
  }
}

/** Appends a policy's attributes. */
export function putPolicy(w: MessageWriter, policy: TimeoutPolicy): void {
  if (policy.name !== '') w.attrString(CTA_TIMEOUT.NAME, policy.name, 'latin1');
  w.dv.setUint16(w.attrHeader(CTA_TIMEOUT.L3PROTO, 2), policy.l3);
  w.attrU8(CTA_TIMEOUT.L4PROTO, policy.proto);
  if (policy.name !== '') w.dv.setUint32(w.attrHeader(CTA_TIMEOUT.USE, 4), 1);
  const nest = w.nest(CTA_TIMEOUT.DATA | NLA_F_NESTED);
  const first = firstOf(policy.proto);
  policy.timeouts.forEach((ms, i) => {
    if (i - first > 0) w.dv.setUint32(w.attrHeader(i - first, 4), Math.floor(ms / 1000));
  });
  w.endNest(nest);
}
