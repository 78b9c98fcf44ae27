/**
 * "nlctrl" as the datapath serves it: the family that tells clients the numbers of the others.  The kernel's own nlctrl
 * knows nothing of a family that lives in a process, so clients of an emulated datapath ask this one.
 * Source: net/netlink/genetlink.c (ctrl_getfamily, ctrl_fill_info).
 */
import { GENL_HDRLEN, NLM_F, NLMSG_HDRLEN } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  CTRL_ATTR,
  CTRL_CMD,
  type FamilyAttrs,
  GENL,
  GENL_ID_CTRL,
  NLCTRL_VERSION,
} from '../../netlink/families/nlctrl.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import { attrRules, nulString, U16 } from './attr-policy.ts';
import {
  DUMP_STEP,
  type DumpSource,
  type DumpStep,
  type GenlFamily,
  type GenlOp,
  type Replies,
  type Request,
} from './genl-family.ts';

/** GENL_NAMSIZ - 1. */
const MAX_NAME_LENGTH = 15;
/** Room for one family's description. */
const MESSAGE_ROOM = 1024;
const { type: ATTR } = CTRL_ATTR;

/** Makes the family.  `families` yields all that are served, this one too. */
export function nlctrlFamily(families: () => Iterable<GenlFamily>): GenlFamily {
  const getFamily: GenlOp = {
    cmd: CTRL_CMD.GETFAMILY,
    needsAdmin: false,
    doit: (req, replies) => doGetFamily(req, replies, families()),
    dumpit: (req) => new FamilyDump(req, [...families()]),
  };
  return {
    id: GENL_ID_CTRL,
    name: 'nlctrl',
    version: NLCTRL_VERSION,
    hdrsize: 0,
    maxattr: ATTR.familyName,
    rules: attrRules(ATTR.familyName, { [ATTR.familyId]: U16, [ATTR.familyName]: nulString(MAX_NAME_LENGTH) }),
    ops: [getFamily],
    group: 0,
  };
}

function doGetFamily(req: Request, replies: Replies, families: Iterable<GenlFamily>): void {
  const { attrs } = req;
  const byName = attrs.has(ATTR.familyName);
  if (!byName && !attrs.has(ATTR.familyId)) throw new NetlinkError(ERRNO.EINVAL, 'nlctrl: neither name nor id');
  const name = byName ? attrs.string(ATTR.familyName) : '';
  for (const family of families) {
    if (byName ? family.name !== name : family.id !== attrs.u16(ATTR.familyId)) continue;
    const w = replies.begin(req, CTRL_CMD.NEWFAMILY, 0);
    w.attrs(CTRL_ATTR, describe(family), MESSAGE_ROOM);
    replies.reply(req);
    return;
  }
  throw new NetlinkError(ERRNO.ENOENT, `nlctrl: family "${name}"`);
}

/** What is told of a family, in the order in which the kernel tells it. */
function describe(family: GenlFamily): FamilyAttrs {
  const attrs: FamilyAttrs = {
    familyName: family.name,
    familyId: family.id,
    version: family.version,
    hdrsize: family.hdrsize,
    maxattr: family.maxattr,
    ops: family.ops.map((op) => ({
      id: op.cmd,
      flags:
        GENL.CMD_CAP_HASPOL |
        (op.needsAdmin ? GENL.UNS_ADMIN_PERM : 0) |
        (op.doit === undefined ? 0 : GENL.CMD_CAP_DO) |
        (op.dumpit === undefined ? 0 : GENL.CMD_CAP_DUMP),
    })),
  };
  if (family.namedGroups !== undefined) attrs.mcastGroups = [...family.namedGroups];
  else if (family.group !== 0) attrs.mcastGroups = [{ id: family.group, name: family.name }];
  return attrs;
}

class FamilyDump implements DumpSource {
  private readonly left: GenlFamily[];
  private readonly seq: number;
  private readonly to: number;

  constructor(req: Request, families: GenlFamily[]) {
    this.left = families;
    this.seq = req.msg.seq;
    this.to = req.from;
  }

  next(w: MessageWriter, room: number, mustFit: boolean): DumpStep {
    const family = this.left[0];
    if (family === undefined) return DUMP_STEP.END;
    if (room < NLMSG_HDRLEN + GENL_HDRLEN + MESSAGE_ROOM && !mustFit) return DUMP_STEP.FULL;
    this.left.shift();
    const at = w.begin(GENL_ID_CTRL, NLM_F.MULTI, this.seq, this.to);
    w.genl(CTRL_CMD.NEWFAMILY, NLCTRL_VERSION);
    w.attrs(CTRL_ATTR, describe(family), MESSAGE_ROOM);
    w.end(at);
    return DUMP_STEP.MORE;
  }
}
