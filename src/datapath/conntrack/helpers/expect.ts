/**
 * Expectations: connections that a helper (helpers.ts) has read about in another one, such as FTP's data connections.  The
 * first packet that fits one begins a connection that is RELATED to that master, and uses it up.
 *
 * They are few and short-lived: objects, found through a map by destination.
 * Source: net/netfilter/nf_conntrack_expect.c.
 */
import { protoOf, T, TUPLE_WORDS } from '../tuple.ts';

export interface Expectation {
  readonly master: number;
  /** The tuple of its first packet.  Its source port may be any; its source address too if `anySource`. */
  readonly tuple: Int32Array;
  readonly anySource: boolean;
  /** When it is given up, in ms. */
  readonly expires: number;
  /** Direction of the master's packet that announced it. */
  readonly dir: number;
  /** Whether the master is translated, so that the new connection must be too. */
  readonly isTranslated: boolean;
  /** Then, the port that the announcer had written before it was translated. */
  readonly savedPort: number;
  /** Number of the helper for the new connection, 0 for none. */
  readonly helper: number;
}

/** For each master (the helpers' max_expected). */
const MAX_PER_MASTER = 1;
/** nf_ct_expect_max for the default table size. */
const MAX = 4096;

export class Expectations {
  private readonly byDestination = new Map<string, Expectation[]>();
  count = 0;
  /** As /proc/net/stat/nf_conntrack; `fulfilled` is its expect_new. */
  readonly stats = { fulfilled: 0, created: 0, deleted: 0 };
  /** Is told of each that begins or, `isEnd`, is over: connections.ts sets it. */
  onChange: ((exp: Expectation, isEnd: boolean) => void) | undefined;
  /** When the first of them may be given up. */
  private earliest = Number.POSITIVE_INFINITY;

  /** The one that the packet with this tuple fulfils, if any.  Cold unless there are expectations: ask `count` first. */
  find(tuple: Int32Array, now: number): Expectation | undefined {
    const list = this.byDestination.get(keyOf(tuple));
    return list?.find((e) => e.expires > now && fits(e, tuple));
  }

  /** Adds one; an equal one of the same master is replaced.  False if there are too many. */
  add(exp: Expectation): boolean {
    const key = keyOf(exp.tuple);
    let list = this.byDestination.get(key);
    const same = list?.find((e) => e.master === exp.master && equal(e, exp));
    if (same !== undefined) this.remove(same);
    else if (list?.some((e) => fits(e, exp.tuple) || fits(exp, e.tuple))) return false;
    const mine = this.ofMaster(exp.master);
    if (mine.length >= MAX_PER_MASTER) this.remove(mine[0]!);
    if (this.count >= MAX) return false;
    list = this.byDestination.get(key);
    this.earliest = Math.min(this.earliest, exp.expires);
    if (list === undefined) this.byDestination.set(key, [exp]);
    else list.push(exp);
    this.count++;
    this.stats.created++;
    this.onChange?.(exp, false);
    return true;
  }

  remove(exp: Expectation): void {
    const key = keyOf(exp.tuple);
    const list = this.byDestination.get(key);
    const i = list?.indexOf(exp) ?? -1;
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    if (list.length === 0) this.byDestination.delete(key);
    this.count--;
    this.stats.deleted++;
    this.onChange?.(exp, true);
  }

  /** The master is gone. */
  removeOf(master: number): void {
    if (this.count === 0) return;
    for (const exp of this.ofMaster(master)) this.remove(exp);
  }

  removeExpired(now: number): void {
    if (now < this.earliest) return;
    this.earliest = Number.POSITIVE_INFINITY;
    for (const exp of this.all()) {
      if (exp.expires <= now) this.remove(exp);
      else this.earliest = Math.min(this.earliest, exp.expires);
    }
  }

  all(): Expectation[] {
    return [...this.byDestination.values()].flat();
  }

  private ofMaster(master: number): Expectation[] {
    return this.all().filter((e) => e.master === master);
  }
}

const keyOf = (tuple: Int32Array): string =>
  `${tuple[T.META]} ${tuple[4]} ${tuple[5]} ${tuple[6]} ${tuple[7]} ${tuple[T.PORTS]! & 0xffff}`;

function fits(exp: Expectation, tuple: Int32Array): boolean {
  if (protoOf(exp.tuple[T.META]!) !== protoOf(tuple[T.META]!)) return false;
  if (exp.anySource) return true;
  for (let i = 0; i < 4; i++) if (exp.tuple[i] !== tuple[i]) return false;
  return true;
}

function equal(a: Expectation, b: Expectation): boolean {
  if (a.anySource !== b.anySource) return false;
  for (let i = 0; i < TUPLE_WORDS; i++) if (a.tuple[i] !== b.tuple[i]) return false;
  return true;
}
