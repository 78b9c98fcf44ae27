/**
 * From the bytes of a request to its handler, and from what goes wrong to the error that answers it.
 *
 * Requests of a connection are handled one after the other: while a handler waits for something, the connection reads no more; nor does it
 * while the peer does not take its answers.
 * Source: ofproto/ofproto.c (handle_openflow), ofproto/connmgr.c (ofconn_run).
 */
import { newMatch } from '../../openflow/match/match.ts';
import { decodeBody, decodeHeaders } from '../../openflow/messages/codec.ts';
import type { OfMessage } from '../../openflow/messages/of-message.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import { checkBodySize, type OfpHeader } from '../../openflow/ofp-header.ts';
import type { OfKind } from '../../openflow/ofp-msgs.ts';
import { monotonicMs } from '../../util/clock.ts';
import { coverage } from '../../util/coverage.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { Handler, Handlers } from './handler.ts';
import { BUNDLE_HANDLERS } from './handlers/bundle.ts';
import { CONNECTION_HANDLERS } from './handlers/connection.ts';
import { FLOW_MOD_HANDLERS } from './handlers/flow-mod.ts';
import { FLOW_STATS_HANDLERS } from './handlers/flow-stats.ts';
import { GROUP_HANDLERS } from './handlers/groups.ts';
import { METER_HANDLERS } from './handlers/meters.ts';
import { MONITOR_HANDLERS } from './handlers/monitors.ts';
import { NICIRA_HANDLERS } from './handlers/nicira.ts';
import { PACKET_OUT_HANDLERS } from './handlers/packet-out.ts';
import { PORT_HANDLERS } from './handlers/port.ts';
import { QUEUE_HANDLERS } from './handlers/queue.ts';
import { SWITCH_HANDLERS } from './handlers/switch.ts';
import { TABLE_HANDLERS } from './handlers/tables.ts';
import type { OfSwitch } from './of-switch.ts';
import type { OfConn } from './ofconn.ts';

const log = vlog('ofproto');
const bugLimit = new RateLimit(5, 5);
const received = coverage('ofproto_recv_openflow');

/** What the peer may be behind with reading before it is no longer listened to. */
const MAX_BACKLOG = 256 * 1024;

/** Of the flow_mod that is being handled: its match is needed no more when the handler returns. */
const flowModMatch = newMatch();

/** One line for each file of handlers. */
const HANDLERS: Handlers = {
  ...CONNECTION_HANDLERS,
  ...SWITCH_HANDLERS,
  ...FLOW_MOD_HANDLERS,
  ...FLOW_STATS_HANDLERS,
  ...PORT_HANDLERS,
  ...QUEUE_HANDLERS,
  ...NICIRA_HANDLERS,
  ...TABLE_HANDLERS,
  ...MONITOR_HANDLERS,
  ...PACKET_OUT_HANDLERS,
  ...BUNDLE_HANDLERS,
  ...GROUP_HANDLERS,
  ...METER_HANDLERS,
};

/** What a controller says before it has decided whether it takes the switch. */
// biome-ignore format: list
const NOT_ADMITTING: ReadonlySet<OfKind> = new Set<OfKind>([
  'hello', 'error', 'echo_request', 'echo_reply', 'features_request', 'get_config_request', 'set_config',
  'queue_get_config_request', 'get_async_request', 'group_stats_request', 'group_desc_stats_request',
  'group_features_stats_request', 'table_features_stats_request', 'table_desc_request',
]);

/** What a secondary controller may not do. */
// biome-ignore format: a list of names reads better in lines than one below the other
const CHANGES: ReadonlySet<OfKind> = new Set<OfKind>([
  'flow_mod', 'group_mod', 'meter_mod', 'table_mod', 'port_mod', 'packet_out', 'bundle_control', 'bundle_add_message',
  'nxt_tlv_table_mod',
]);

/** What is answered at once whatever happens to the tables meanwhile. */
// biome-ignore format: list
const FREE_OF_TABLES: ReadonlySet<OfKind> = new Set<OfKind>(['hello', 'error', 'echo_request', 'echo_reply', 'barrier_request']);

/** Handles one message; the promise, if there is one, settles when the next may be handled, and never rejects. */
export function handleMessage(conn: OfConn, bytes: Uint8Array, sw: OfSwitch): Promise<void> | undefined {
  received.n++;
  conn.receivedMs = monotonicMs();
  return take(conn, bytes, sw);
}

function take(conn: OfConn, bytes: Uint8Array, sw: OfSwitch): Promise<void> | undefined {
  conn.request = bytes;
  try {
    const header = decodeHeaders(bytes);
    // Another connection's bundle may be half done.
    if (sw.tables.isBusy && !FREE_OF_TABLES.has(header.raw.kind)) {
      return sw.tables.idle().then(() => (conn.isOpen ? take(conn, bytes, sw) : undefined));
    }
    if (!NOT_ADMITTING.has(header.raw.kind)) conn.admittedMs = conn.receivedMs;
    if (!conn.multipart.isPart(header)) return begin(conn, header, [bytes], sw);
    const parts = conn.multipart.take(header, bytes, conn.receivedMs);
    return parts === undefined ? undefined : begin(conn, header, parts, sw);
  } catch (e) {
    answerError(conn, bytes, e);
    return undefined;
  }
}

/** Begins to handle a request, of one part or of several. */
function begin(conn: OfConn, header: OfpHeader, parts: readonly Uint8Array[], sw: OfSwitch): Promise<void> | undefined {
  const first = parts[0] as Uint8Array;
  conn.request = first;
  try {
    const handler = handlerOf(conn, header, first);
    const msg = decodeParts(conn, header, parts);
    const doing = sw.conns.act(conn, msg.xid, () => (handler as Handler<'hello'>)(conn, msg as never, sw)) ?? undefined;
    return doing?.catch((e: unknown) => answerError(conn, first, e));
  } catch (e) {
    answerError(conn, first, e);
    return undefined;
  }
}

/** Who handles a message, whatever is in its body; throws OfpError if nobody does, or not for this connection. */
function handlerOf(conn: OfConn, { raw, bodyAt }: OfpHeader, bytes: Uint8Array): Handler<OfKind> {
  checkBodySize(raw, bytes.length - bodyAt);
  const handler = HANDLERS[raw.kind] as Handler<OfKind> | undefined;
  if (handler !== undefined) {
    if (CHANGES.has(raw.kind)) conn.rejectSecondary();
    return handler;
  }
  const isStat = raw.multipart === 'request';
  throw new OfpError(isStat ? OFPERR.OFPBRC_BAD_STAT : OFPERR.OFPBRC_BAD_TYPE, `${raw.kind} is not handled`);
}

/** Lists that are requests: several parts may have a body. */
const LISTS: ReadonlySet<OfKind> = new Set(['table_features_stats_request', 'flow_monitor_stats_request']);

function decodeParts(conn: OfConn, header: OfpHeader, parts: readonly Uint8Array[]): OfMessage {
  const context = { hasFlowModTableId: conn.hasFlowModTableId, flowModMatch };
  if (parts.length === 1) return decodeBody(parts[0] as Uint8Array, header, context);
  if (!LISTS.has(header.raw.kind))
    throw new OfpError(OFPERR.OFPBRC_BAD_STAT, `${header.raw.text} in ${parts.length} parts`);
  const messages = parts.map((part) => decodeBody(part, header, context));
  return { ...messages[0], body: messages.flatMap((m) => m.body as readonly unknown[]) } as OfMessage;
}

function answerError(conn: OfConn, about: Uint8Array, e: unknown): void {
  if (e instanceof OfpError) {
    conn.error(e.err, about);
    return;
  }
  // A mistake of ours: the peer is told that there will be no answer, and the connection stays.
  log.err(() => `${conn.name}: ${e instanceof Error ? e.stack : String(e)}`, bugLimit);
  conn.error(OFPERR.OFPBRC_UNKNOWN, about);
}

/** Has the requests of a connection handled from now on. */
export function serve(conn: OfConn, sw: OfSwitch): void {
  const { vconn } = conn;
  vconn.onMessage = (bytes) => {
    const doing = handleMessage(conn, bytes, sw);
    if (doing === undefined && vconn.backlog < MAX_BACKLOG) return;
    vconn.pause();
    void (doing ?? Promise.resolve()).then(() => {
      if (vconn.backlog < MAX_BACKLOG) vconn.resume();
      else vconn.onceDrained(() => vconn.resume());
    });
  };
}
