/** Errors of the netlink codec and of what talks over it.  docs/errors.md lists every `code`. */
import { errnoName, errnoText } from '../util/errno.ts';

/** A message that does not follow the netlink wire format.  Never thrown for an errno that a peer sent. */
export class NetlinkFormatError extends Error {
  override readonly name = 'NetlinkFormatError';
  readonly code = 'ERR_NETLINK_FORMAT';
  /** Attribute path from the outermost set inwards, e.g. `OVS_FLOW_ATTR_KEY.OVS_KEY_ATTR_IPV4`. */
  readonly path: string;
  /** Byte offset of the attribute header in the parsed buffer. */
  readonly offset: number;
  readonly reason: string;

  constructor(reason: string, path: string, offset: number) {
    super(`${path}: ${reason} (at byte ${offset})`);
    this.reason = reason;
    this.path = path;
    this.offset = offset;
  }
}

/**
 * An errno: what the datapath (the kernel or ours) answered, or why a message could not be sent.  The server throws
 * it too; it becomes an NLMSG_ERROR.  `errno` is positive, `code` its name, `text` the C library's words for it.
 */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly errno: number;
  readonly code: string;
  readonly text: string;
  /** The extended ack's message (NLMSGERR_ATTR_MSG), if there was one. */
  readonly extack: string | undefined;

  constructor(errno: number, where: string, extack?: string) {
    const text = errnoText(errno);
    super(`${where}: ${text}${extack === undefined ? '' : ` (${extack})`}`);
    this.errno = errno;
    this.code = errnoName(errno);
    this.text = text;
    this.extack = extack;
  }
}
