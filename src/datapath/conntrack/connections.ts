/**
 * The connections of one network namespace, from their first packet to their end.
 *
 * A connection is unconfirmed until a committing action confirms it: it is then a row that only packets refer to, and
 * nobody finds.  A deleted one likewise stays readable for the packet at hand.  kept-rows.ts says for how long; packets tell a stale
 * reference by its generation.
 *
 * Time is `now`, which callers set on entry.  Neighbours: conn-table.ts is the memory; tracker.ts brings the packets; clash.ts and
 * early-drop.ts are what happens where two connections are the same one, and where there are too many.
 * Source: net/netfilter/nf_conntrack_core.c.
 */
import type { Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { joinable } from './clash.ts';
import { ConnTable, NONE } from './conn-table.ts';
import { CTINFO, IPCT, IPS, VERDICT } from './ct-constants.ts';
import { EarlyDrop, isListed } from './early-drop.ts';
import { type Expectation, Expectations } from './helpers/expect.ts';
import { KeptRows, MAX_KEPT } from './kept-rows.ts';
import { ZoneLimits } from './limits.ts';
import type { SeqAdjust } from './nat/seq-adjust.ts';
import type { ConnContext } from './protocols/conn-context.ts';
import { TimeoutPolicies } from './timeouts.ts';
import { copyTuple, invertTuple, protoOf, T, TUPLE_WORDS, tuplesEqual } from './tuple.ts';

/** What an action wants of connections that begin with it. */
export interface Template {
  readonly zone: number;
  /** Number of the helper (helpers.ts), 0 for none. */
  readonly helper: number;
  /** Number of the timeout policy, 0 for the default. */
  readonly policy: number;
}

/** Who tells listeners about connections. */
export interface ConnEvents {
  /** Whether anyone listens: a connection that begins otherwise is never spoken of. */
  isWanted(): boolean;
  /** `events`: IPCT bits. */
  tell(conn: number, events: number): void;
  /** An expectation of a connection that is spoken of begins or, `isEnd`, is over. */
  tellExpectation(exp: Expectation, isEnd: boolean): void;
}

export interface ConnectionsOptions {
  /** Connections there may be (nf_conntrack_max). */
  readonly max?: number;
  /** Numbers in [0, 1): the hash seed, ports chosen by NAT. */
  readonly random?: () => number;
}

/** What `begin` returns where there are too many. */
export const TOO_MANY = -2;
/** As on a host with more than 4 GB of memory. */
const DEFAULT_MAX = 262_144;

export class Connections implements ConnContext {
  readonly table: ConnTable;
  readonly policies = new TimeoutPolicies();
  readonly expectations = new Expectations();
  readonly limits: ZoneLimits = new ZoneLimits();
  readonly random: () => number;
  /** Monotonic ms. */
  now = 0;
  /** Confirmed connections. */
  count = 0;
  /** As /proc/net/stat/nf_conntrack; `found` counts tuples that NAT found taken. */
  readonly stats = { found: 0, invalid: 0, insert: 0, insertFailed: 0, drop: 0, earlyDrop: 0, clashResolved: 0 };

  /** ctnetlink-server.ts sets it. */
  events: ConnEvents | undefined;

  /** Sequence number adjustments of connections that have them. */
  readonly seqAdjusts = new Map<number, SeqAdjust>();
  readonly max: number;
  private readonly kept: KeptRows;
  private readonly early: EarlyDrop;
  private readonly inverse = new Int32Array(TUPLE_WORDS);
  private readonly expire = (conn: number): void => this.delete(conn);

  constructor(options: ConnectionsOptions = {}) {
    this.random = options.random ?? Math.random;
    this.max = options.max ?? DEFAULT_MAX;
    this.table = new ConnTable(this.max + 2 * MAX_KEPT, Math.floor(this.random() * 0x100000000));
    this.kept = new KeptRows(this.table, (conn) => this.seqAdjusts.delete(conn));
    this.early = new EarlyDrop(this.table);
    this.expectations.onChange = (exp, isEnd) => {
      if (this.table.eventMask[exp.master] !== 0) this.events?.tellExpectation(exp, isEnd);
    };
  }

  /** Sets the time, and removes what has expired. */
  advance(now: number): void {
    this.now = now;
    this.table.turn(now, this.expire);
    this.expectations.removeExpired(now);
  }

  // References of packets.

  /** The packet's connection, or NONE. */
  connOf(pkt: Packet): number {
    if (pkt.nfct === 0) return NONE;
    const conn = pkt.nfct - 1;
    if (this.table.generation[conn] === pkt.nfctGen) return conn;
    pkt.nfct = 0;
    return NONE;
  }
  setCt(pkt: Packet, conn: number, ctinfo: number): void {
    pkt.nfct = conn + 1;
    pkt.nfctGen = this.table.generation[conn]!;
    pkt.nfctInfo = ctinfo;
  }

  isConfirmed(conn: number): boolean {
    return (this.table.status[conn]! & IPS.CONFIRMED) !== 0;
  }

  // Look-up.

  /** The entry with the tuple at `at`, or NONE.  One that has expired is removed. */
  find(words: Int32Array, at = 0): number {
    const entry = this.table.find(words, at);
    if (entry === NONE) return NONE;
    if (this.table.timeout[entry >> 1]! > this.now) return entry;
    this.delete(entry >> 1);
    return NONE;
  }

  // Life of a connection.

  /** A new, unconfirmed connection for `tuple`; NONE if that has no reverse, TOO_MANY if there are too many. */
  protected begin(tuple: Int32Array, template: Template): number {
    const { table, inverse } = this;
    if (!invertTuple(tuple, 0, inverse, 0)) return NONE;
    if (this.count >= this.max && !this.dropEarly()) {
      this.stats.drop++;
      return TOO_MANY;
    }
    this.kept.makeRoom();
    const conn = table.alloc();
    if (conn === NONE) {
      this.stats.drop++;
      return TOO_MANY;
    }
    this.kept.add(conn);
    copyTuple(tuple, 0, table.tuples, table.tupleAt(2 * conn));
    copyTuple(inverse, 0, table.tuples, table.tupleAt(2 * conn + 1));
    table.policy[conn] = template.policy;
    if (this.events?.isWanted() === true) table.eventMask[conn] = -1;
    const exp = this.expectations.count === 0 ? undefined : this.expectations.find(tuple, this.now);
    if (exp !== undefined && this.isConfirmed(exp.master)) this.fulfil(conn, exp);
    else table.helper[conn] = template.helper;
    return conn;
  }

  private fulfil(conn: number, exp: Expectation): void {
    const { table } = this;
    this.expectations.remove(exp);
    this.expectations.stats.fulfilled++;
    table.status[conn]! |= IPS.EXPECTED;
    table.master[conn] = exp.master;
    table.mark[conn] = table.mark[exp.master]!;
    table.helper[conn] = exp.helper;
    this.kept.adopt(exp.master);
    if (exp.isTranslated) this.onExpected?.(conn, exp);
  }
  /** Sets up NAT for an expected connection: ct-execute.ts sets it. */
  onExpected: ((conn: number, exp: Expectation) => void) | undefined;

  /** Ends a confirmed connection.  Its row stays readable for a while. */
  delete(conn: number): void {
    const { table } = this;
    if ((table.status[conn]! & (IPS.CONFIRMED | IPS.DYING)) !== IPS.CONFIRMED) return;
    table.status[conn]! |= IPS.DYING;
    if ((table.eventMask[conn]! & IPCT.DESTROY) !== 0) this.events?.tell(conn, IPCT.DESTROY);
    table.unlink(conn);
    table.stopTimer(conn);
    this.count--;
    this.uncount(conn);
    this.expectations.removeOf(conn);
    this.kept.makeRoom();
    this.kept.add(conn);
  }

  /** Sets how long from now the connection lives without another packet. */
  refresh(conn: number, ms: number): void {
    const { table } = this;
    const status = table.status[conn]!;
    if ((status & IPS.FIXED_TIMEOUT) !== 0) return;
    const before = table.timeout[conn]!;
    table.timeout[conn] = (status & IPS.CONFIRMED) !== 0 ? this.now + ms : ms;
    if ((status & (IPS.CONFIRMED | IPS.DYING)) !== IPS.CONFIRMED || this.now + ms >= before) return;
    // The wheel notices by itself only what lives longer than it was to.
    table.stopTimer(conn);
    table.startTimer(conn, this.now);
  }

  timeoutsOf(conn: number): Float64Array {
    const { table } = this;
    return this.policies.of(table.policy[conn]!, protoOf(table.tuples[2 * conn * TUPLE_WORDS + T.META]!));
  }

  /** What NAT added to sequence numbers of direction `dir` at `seq`. */
  seqOffset(conn: number, dir: number, seq: number): number {
    return this.seqAdjusts.get(conn)?.offsetAt(dir, seq) ?? 0;
  }

  /** An unconfirmed connection that was not confirmed: what was done for it ahead of that is undone. */
  abandon(conn: number): void {
    this.uncount(conn);
    this.expectations.removeOf(conn);
  }

  /** It does not count for its zone's limit any more. */
  uncount(conn: number): void {
    const { table } = this;
    if (table.counted[conn] === 0) return;
    table.counted[conn] = 0;
    this.limits.leave(table.tuples[2 * conn * TUPLE_WORDS + T.META]! & 0xffff);
  }

  /**
   * Makes the packet's connection one that others find.  Returns VERDICT.ACCEPT, or DROP if a tuple belongs to another connection
   * that the packet cannot join.
   */
  confirm(pkt: Packet): number {
    const { table } = this;
    const conn = this.connOf(pkt);
    if (conn === NONE) return VERDICT.ACCEPT;
    if (this.isConfirmed(conn) || pkt.nfctInfo >= CTINFO.ESTABLISHED_REPLY) {
      this.deliver(conn);
      return VERDICT.ACCEPT;
    }
    const original = this.find(table.tuples, table.tupleAt(2 * conn));
    const reply = this.find(table.tuples, table.tupleAt(2 * conn + 1));
    if (original !== NONE || reply !== NONE) return this.join(pkt, joinable(table, conn, original, reply));
    table.status[conn]! |= IPS.CONFIRMED;
    this.confirmed(conn, table.timeout[conn]!);
    table.events[conn]! |= table.master[conn] === NONE ? IPCT.NEW : IPCT.RELATED;
    if (table.helper[conn] !== 0) table.events[conn]! |= IPCT.HELPER;
    this.deliver(conn);
    return VERDICT.ACCEPT;
  }

  /**
   * Adds a confirmed connection that a tool describes, whose tuples need not be inverse to each other, for `ms`; `translate` may change
   * the reply's tuple before.  Returns its row, -EEXIST if one of the tuples is another connection's, or -ENOMEM.
   */
  insert(original: Int32Array, reply: Int32Array, ms: number, translate?: (conn: number) => void): number {
    const { table } = this;
    if (this.find(original) !== NONE) return -ERRNO.EEXIST;
    if (this.count >= this.max && !this.dropEarly()) return -ERRNO.ENOMEM;
    const conn = table.alloc();
    if (conn === NONE) return -ERRNO.ENOMEM;
    copyTuple(original, 0, table.tuples, table.tupleAt(2 * conn));
    copyTuple(reply, 0, table.tuples, table.tupleAt(2 * conn + 1));
    translate?.(conn);
    if (this.find(table.tuples, table.tupleAt(2 * conn + 1)) !== NONE) {
      table.free(conn);
      return -ERRNO.EEXIST;
    }
    table.status[conn]! |= IPS.CONFIRMED;
    if (this.events?.isWanted() === true) table.eventMask[conn] = -1;
    this.confirmed(conn, ms);
    return conn;
  }

  /** The connection, whose status says so already, is one from now on, for `ms`. */
  private confirmed(conn: number, ms: number): void {
    const { table } = this;
    table.timeout[conn] = this.now + ms;
    table.link(conn);
    table.startTimer(conn, this.now);
    this.count++;
    this.stats.insert++;
  }

  /** Sets a bit of the status, of which listeners hear as `event` if it was not set. */
  setStatus(conn: number, bit: number, event: number): void {
    const { status, events } = this.table;
    if ((status[conn]! & bit) !== 0) return;
    status[conn]! |= bit;
    events[conn]! |= event;
  }

  /** Tells listeners what has happened since they were last told, if something of it is what they are told. */
  deliver(conn: number): void {
    const { events, eventMask } = this.table;
    const happened = events[conn]!;
    events[conn] = 0;
    if ((happened & eventMask[conn]!) !== 0) this.events?.tell(conn, happened);
  }

  /** The packet joins `other`, as what it is to its own connection; NONE: there is none that it can join. */
  private join(pkt: Packet, other: number): number {
    const { stats } = this;
    if (other === NONE) {
      stats.insertFailed++;
      stats.drop++;
      return VERDICT.DROP;
    }
    stats.clashResolved++;
    this.setCt(pkt, other, pkt.nfctInfo);
    this.deliver(other);
    return VERDICT.ACCEPT;
  }

  /** Whether the tuple at `at` is that of a connection other than `conn`, and of another flow. */
  isTaken(words: Int32Array, at: number, conn: number): boolean {
    const { table } = this;
    const entry = this.find(words, at);
    if (entry === NONE || entry >> 1 === conn) return false;
    // Of the same first packet twice, one will give way when it is confirmed.
    if (tuplesEqual(table.tuples, table.tupleAt(entry & ~1), table.tuples, table.tupleAt(2 * conn))) return false;
    this.stats.found++;
    return true;
  }

  /** Ends one connection that is not ASSURED, or is closing.  False if none was found in reach. */
  private dropEarly(): boolean {
    const conn = this.early.pick(this.now);
    if (conn === NONE) return false;
    this.delete(conn);
    this.stats.earlyDrop++;
    return true;
  }

  // For tools.

  /** Whether row `conn` is a connection to be listed. */
  isShown(conn: number): boolean {
    return isListed(this.table, conn, this.now);
  }

  /** Ends all connections for which `want` holds.  Returns how many. */
  flush(want: (conn: number) => boolean = () => true): number {
    let n = 0;
    for (let conn = 0; conn < this.table.capacity; conn++) {
      if (!this.isShown(conn) || !want(conn)) continue;
      this.delete(conn);
      n++;
    }
    return n;
  }

  /** A number that tools know the connection by. */
  idOf(conn: number): number {
    return (Math.imul(conn + 1, 0x9e3779b1) + this.table.generation[conn]!) >>> 0;
  }
}
