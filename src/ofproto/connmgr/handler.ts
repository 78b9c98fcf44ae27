/**
 * What a handler of OpenFlow requests is.  `handlers/` has them, a file for each concern; `dispatch.ts` has the table of all.
 */
import type { OfMessageOf } from '../../openflow/messages/of-message.ts';
import type { OfKind } from '../../openflow/ofp-msgs.ts';
import type { OfSwitch } from './of-switch.ts';
import type { OfConn } from './ofconn.ts';

/**
 * Carries out a request, and answers by `conn.reply` or `conn.replyList`.  Throws OfpError, or rejects with one, to answer with an error.
 * A promise holds back the requests that follow on the same connection, barriers too, until it settles.
 */
export type Handler<K extends OfKind> = (conn: OfConn, msg: OfMessageOf<K>, sw: OfSwitch) => void | Promise<void>;

/** By kind of message. */
export type Handlers = { readonly [K in OfKind]?: Handler<K> };
