/**
 * What server.ts needs to know of a generic netlink family, and what a command gets from it: the shapes between the
 * server and the *-commands.ts files.
 * Source: include/net/genetlink.h (struct genl_family, genl_small_ops, genl_info).
 */
import { NLM_F } from '../../netlink/constants.ts';
import { MessageView, type MessageWriter } from '../../netlink/message.ts';
import type { AttrRules, AttrTable } from './attr-policy.ts';

/** What became of a step of a dump: a message was appended; it did not fit; there are no more. */
export const DUMP_STEP = { MORE: 0, FULL: 1, END: 2 } as const;
export type DumpStep = (typeof DUMP_STEP)[keyof typeof DUMP_STEP];

/** A dump under way.  Between two steps anything may happen to what is dumped. */
export interface DumpSource {
  /**
   * Appends the next message, of at most `room` bytes, to `w`.  One that does not fit is left for the next call,
   * unless `mustFit`: then it is shortened, or appended as it is.
   */
  next(w: MessageWriter, room: number, mustFit: boolean): DumpStep;
}

/**
 * One command of a family.  Both functions throw NetlinkError; a command that throws has changed nothing.  `needsAdmin`
 * is only told to clients: that one may send here at all is the kernel's check of CAP_NET_ADMIN.
 */
export interface GenlOp {
  readonly cmd: number;
  readonly needsAdmin: boolean;
  readonly doit?: (req: Request, replies: Replies) => void;
  readonly dumpit?: (req: Request) => DumpSource;
  /** Whether attributes that break the rules fail the dump; else they are ignored. */
  readonly dumpChecksAttrs?: boolean;
}

/** Who carries out NEW, DEL, GET (of one and of all) and SET: the commands of datapaths, vports and flows. */
export interface FourCommands {
  doNew(request: Request, replies: Replies): void;
  doDel(request: Request, replies: Replies): void;
  doGet(request: Request, replies: Replies): void;
  dump(request: Request): DumpSource;
  doSet(request: Request, replies: Replies): void;
}

/** Those commands in the order in which nlctrl tells them; all but GET need CAP_NET_ADMIN.  `dump` adds to the dump. */
export function fourOps(
  cmd: { readonly NEW: number; readonly DEL: number; readonly GET: number; readonly SET: number },
  commands: FourCommands,
  dump: Pick<GenlOp, 'dumpChecksAttrs'> = {},
): GenlOp[] {
  return [
    { cmd: cmd.NEW, needsAdmin: true, doit: (req, replies) => commands.doNew(req, replies) },
    { cmd: cmd.DEL, needsAdmin: true, doit: (req, replies) => commands.doDel(req, replies) },
    {
      cmd: cmd.GET,
      needsAdmin: false,
      doit: (req, replies) => commands.doGet(req, replies),
      dumpit: (req) => commands.dump(req),
      ...dump,
    },
    { cmd: cmd.SET, needsAdmin: true, doit: (req, replies) => commands.doSet(req, replies) },
  ];
}

export interface GenlFamily {
  readonly id: number;
  readonly name: string;
  readonly version: number;
  /** Bytes of the family's own header, after the genlmsghdr: 4 for the ovs families. */
  readonly hdrsize: number;
  readonly maxattr: number;
  /** Highest attribute number that is read, if that is more than clients are told. */
  readonly parsedAttrs?: number;
  readonly rules: AttrRules;
  readonly ops: readonly GenlOp[];
  /** Called before each command. */
  readonly prepare?: () => void;
  /** Multicast group, which has the family's name; 0 if it has none. */
  readonly group: number;
  /** Its groups, where they have names of their own. */
  readonly namedGroups?: readonly { readonly id: number; readonly name: string }[];
}

/** One request.  The server reuses it: valid until the command returns. */
export class Request {
  /** Port id of the socket that sent it, whatever nlmsg_pid says. */
  from = 0;
  msg: MessageView = new MessageView();
  family: GenlFamily;
  /** Of an ovs family: its dp_ifindex. */
  dpIfindex = 0;
  attrs: AttrTable;

  constructor(family: GenlFamily, attrs: AttrTable) {
    this.family = family;
    this.attrs = attrs;
  }

  get wantsEcho(): boolean {
    return (this.msg.flags & NLM_F.ECHO) !== 0;
  }
}

/**
 * What a command may ask of the server.  A command begins at most one message at a time and ends it with one of the
 * functions that send; an error thrown in between discards it.
 */
export interface Replies {
  /** Begins a message of an ovs family that answers `req`. */
  begin(req: Request, cmd: number, dpIfindex: number): MessageWriter;
  /** Begins one of `family` that answers nobody. */
  beginEvent(family: GenlFamily, cmd: number, dpIfindex: number): MessageWriter;
  /** Sends the message to the sender of `req`. */
  reply(req: Request): void;
  /** Tells the family's group of it, and the sender of `req` if it asked for an echo. */
  notify(req: Request): void;
  /** Tells `family`'s group of something that nobody asked for. */
  announce(family: GenlFamily): void;
  /** Whether `notify` would reach anyone. */
  mustNotify(req: Request): boolean;
}
