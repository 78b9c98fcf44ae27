/**
 * Bundles: messages are collected, checked as far as they can be without the switch's state, and carried out together.
 *
 * A commit has two halves.  First everything is begun, in order, in one transaction of the tables, which nobody sees; what fails takes
 * all of it back.  Then the transaction is committed, and what cannot be taken back is done.
 * Source: ofproto/ofproto.c (handle_bundle_control, handle_bundle_add, do_bundle_commit).
 */
import { expandTo, miniFromFlow } from '../../../flow/minimatch.ts';
import { newMatch } from '../../../openflow/match/match.ts';
import { decodeMessage } from '../../../openflow/messages/codec.ts';
import { BUNDLE_CTRL, BUNDLE_FLAG, type Match } from '../../../openflow/messages/flow/flow-types.ts';
import type { OfMessage, OfMessageOf } from '../../../openflow/messages/of-message.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import type { OfKind } from '../../../openflow/ofp-msgs.ts';
import { monotonicMs, workMs } from '../../../util/clock.ts';
import { FlowTransaction } from '../../tables/flow-transaction.ts';
import { inTurns } from '../../tables/turns.ts';
import type { BundleEntry, BundleStep } from '../bundles.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { OfConn } from '../ofconn.ts';
import { prepareFlowMod } from './flow-mod.ts';
import { forwardGroupMod } from './groups.ts';
import { preparePacketOut, translatePacketOut } from './packet-out.ts';
import { applyPortMod, checkPortMod } from './port.ts';

/** How messages of a kind are part of a bundle.  Both throw OfpError. */
interface Bundled<K extends OfKind> {
  /** Checks a message that is added; the function that it gives begins it. */
  prepare(conn: OfConn, msg: OfMessageOf<K>, sw: OfSwitch): (tx: FlowTransaction, flags: number) => BundleStep;
}

/** Match of the flow_mod that is being added, or carried out. */
const scratch = newMatch();

/** In place of what is kept otherwise. */
const NO_MATCH = newMatch();

const flowModSteps: BundleStep[] = [];
/** What is left of a flow_mod: it is counted. */
function stepOf(command: number): BundleStep {
  flowModSteps[command] ??= { flowMod: command };
  return flowModSteps[command] as BundleStep;
}

/** Calls `fn` with look-ups that see what the transaction has done so far. */
function seeing<R>(tx: FlowTransaction, sw: OfSwitch, fn: () => R): R {
  const { tables } = sw;
  const { version } = tables;
  tables.version = tx.version;
  try {
    return fn();
  } finally {
    tables.version = version;
  }
}

/** One line for each kind. */
const BUNDLED: { readonly [K in OfKind]?: Bundled<K> } = {
  flow_mod: {
    prepare(conn, msg, sw) {
      const fm = prepareFlowMod(conn, msg.body, sw.tlvTable);
      FlowTransaction.check(sw.tables, fm);
      // Kept as tables keep it: a bundle may have 100,000 of them.
      const mini = miniFromFlow(fm.match.flow, fm.match.mask);
      // A message that was just decoded is nobody else's, and a copy of it costs as much as the rest.
      (fm as { match: Match }).match = NO_MATCH;
      const step = stepOf(fm.command);
      return (tx) => {
        expandTo(mini, scratch.flow, scratch.mask);
        tx.apply(fm, false, scratch, mini);
        return step;
      };
    },
  },
  group_mod: {
    prepare(conn, msg, sw) {
      return (tx) => {
        const result = sw.groups.applyIn(tx, msg.body);
        return { finish: async () => forwardGroupMod(sw, conn, msg.xid, msg.body, result) };
      };
    },
  },
  port_mod: {
    prepare(conn, msg, sw) {
      return (_tx, flags) => {
        // A device cannot be changed together with anything else.
        if ((flags & BUNDLE_FLAG.ATOMIC) !== 0) throw new OfpError(OFPERR.OFPBFC_MSG_FAILED, 'port_mod, atomically');
        checkPortMod(msg.body, sw);
        return { finish: () => applyPortMod(conn, msg.xid, msg.body, sw) };
      };
    },
  },
  packet_out: {
    prepare(conn, msg, sw) {
      const packet = preparePacketOut(conn, msg.body, sw.tlvTable);
      return (tx) => {
        const prepared = seeing(tx, sw, () => translatePacketOut(packet, sw));
        return { finish: () => prepared.send(), revert: () => prepared.drop() };
      };
    },
  },
};

const bundleAdd: Handler<'bundle_add_message'> = (conn, msg, sw) => {
  const { bundleId, flags, message } = msg.body;
  const inner: OfMessage = decodeMessage(message, {
    hasFlowModTableId: conn.hasFlowModTableId,
    flowModMatch: scratch,
  });
  const kind = BUNDLED[inner.kind] as Bundled<typeof inner.kind> | undefined;
  if (kind === undefined) throw new OfpError(OFPERR.OFPBFC_MSG_UNSUP, `${inner.kind} in a bundle`);
  const begin = kind.prepare(conn, inner as never, sw);
  conn.bundles.add(bundleId, flags, { begin, bytes: conn.request }, monotonicMs());
};

/** A bundle that is being committed, a part at a time. */
class Commit {
  private readonly conn: OfConn;
  private readonly entries: readonly BundleEntry[];
  private readonly flags: number;
  private readonly tx: FlowTransaction;
  private readonly steps: BundleStep[] = [];

  constructor(conn: OfConn, entries: readonly BundleEntry[], flags: number, tx: FlowTransaction) {
    this.conn = conn;
    this.entries = entries;
    this.flags = flags;
    this.tx = tx;
  }

  /**
   * Begins entries until workMs() says `untilMs`; false: there are more.  After the last one all are committed.  If one fails, takes
   * everything back, tells what was wrong with it, and throws OFPBFC_MSG_FAILED.
   */
  run(untilMs: number): boolean {
    const { conn, entries, steps, tx } = this;
    while (steps.length < entries.length) {
      const entry = entries[steps.length] as BundleEntry;
      try {
        steps.push(entry.begin(tx, this.flags));
      } catch (error) {
        for (const step of steps.toReversed()) step.revert?.();
        tx.revert();
        if (!(error instanceof OfpError)) throw error;
        conn.error(error.err, entry.bytes);
        throw new OfpError(OFPERR.OFPBFC_MSG_FAILED, error.message);
      }
      if (steps.length % 32 === 0 && workMs() >= untilMs) return false;
    }
    if (!tx.commit(untilMs)) return false;
    const now = monotonicMs();
    for (const { flowMod } of steps) if (flowMod !== undefined) conn.flowMods.count(flowMod, now);
    return true;
  }

  /** What cannot be taken back, after the commit. */
  get finishes(): readonly BundleStep[] {
    return this.steps.filter((step) => step.finish !== undefined);
  }
}

async function finishAll(steps: readonly BundleStep[], done: () => void): Promise<void> {
  for (const step of steps) await step.finish?.();
  done();
}

const bundleControl: Handler<'bundle_control'> = (conn, msg, sw) => {
  const { bundleId, type, flags } = msg.body;
  const now = monotonicMs();
  const reply = (): void => conn.reply('bundle_control', { bundleId, type: type + 1, flags: 0 }, msg);
  switch (type) {
    case BUNDLE_CTRL.OPEN_REQUEST:
      conn.bundles.open(bundleId, flags, conn.request.slice(), now);
      break;
    case BUNDLE_CTRL.CLOSE_REQUEST:
      conn.bundles.close(bundleId, flags, now);
      break;
    case BUNDLE_CTRL.COMMIT_REQUEST: {
      const { entries } = conn.bundles.take(bundleId, flags);
      const tx = sw.tables.begin(true);
      const commit = new Commit(conn, entries, flags, tx);
      const turns = inTurns(
        sw.tables,
        (untilMs) => commit.run(untilMs),
        (piece) => sw.conns.act(conn, msg.xid, piece),
      );
      if (turns !== undefined) return turns.then(() => finishAll(commit.finishes, reply));
      const rest = commit.finishes;
      if (rest.length > 0) return finishAll(rest, reply);
      break;
    }
    case BUNDLE_CTRL.DISCARD_REQUEST:
      conn.bundles.discard(bundleId);
      break;
    default:
      throw new OfpError(OFPERR.OFPBFC_BAD_TYPE, `bundle control of type ${type}`);
  }
  reply();
  return undefined;
};

export const BUNDLE_HANDLERS = {
  bundle_control: bundleControl,
  bundle_add_message: bundleAdd,
} satisfies Handlers;
