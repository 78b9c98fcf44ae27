/**
 * Actions that choose by a hash: multipath writes the number of a link into a field, bundle chooses among ports.
 * Source: lib/multipath.c, lib/bundle.c, ofproto/ofproto-dpif-xlate.c (xlate_bundle_action).
 */
import { hash2Words } from '../../../flow/hash.ts';
import { hashFlowFields, unwildcardHashFields } from '../../../flow/hash-fields.ts';
import { OFPP, OFPPC } from '../../../openflow/ofp-port.ts';
import type { OfpactBundle, OfpactMultipath } from '../../../openflow/ofpact.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { xlateLoad } from '../xlate-fields.ts';

/** Highest random weight: the link whose own hash is highest, so that few packets change links when one comes or goes. */
function highestWeight(hash: number, nLinks: number): number {
  let best = 0;
  for (let link = 1, weight = hash2Words(hash, 0); link < nLinks; link++) {
    const own = hash2Words(hash, link);
    if (own > weight) [best, weight] = [link, own];
  }
  return best;
}

/** Hashes again until a number below `nLinks` comes out, of those below `modulo` or, if that does not fit, a power of two. */
function iterate(hash: number, nLinks: number, modulo: number): number {
  if (modulo < nLinks || Math.floor(modulo / 2) > nLinks) modulo = 2 ** Math.ceil(Math.log2(nLinks));
  for (let i = 0; ; i++) {
    const link = (hash2Words(hash, i) % modulo) & 0xffff;
    if (link < nLinks) return link;
  }
}

/** The link, from 0 on, that `a` chooses for a hash. */
export function multipathLink(hash: number, a: Pick<OfpactMultipath, 'algorithm' | 'maxLink' | 'arg'>): number {
  const n = a.maxLink + 1;
  switch (a.algorithm) {
    case 'modulo_n':
      return hash % n;
    case 'hash_threshold':
      return n === 1 ? 0 : Math.floor(hash / (Math.floor(0xffffffff / n) + 1));
    case 'hrw':
      return n <= 64 ? highestWeight(hash, n) : iterate(hash, n, 0);
    case 'iter_hash':
      return iterate(hash, n, a.arg);
  }
}

export function xlateMultipath(ctx: XlateCtx, a: OfpactMultipath): void {
  const link = multipathLink(hashFlowFields(ctx.flow, a.fields, a.basis), a);
  unwildcardHashFields(ctx.flow, ctx.wc, a.fields);
  xlateLoad(ctx.flow, ctx.wc, a.dst, link);
  ctx.trace?.subfield(a.dst, ctx.flow);
}

const ALWAYS_UP: ReadonlySet<number> = new Set([
  OFPP.IN_PORT,
  OFPP.TABLE,
  OFPP.NORMAL,
  OFPP.FLOOD,
  OFPP.ALL,
  OFPP.NONE,
]);

/** Whether a port can be sent to: it is there, and neither set down nor without a link. */
export function isPortAlive(ctx: XlateCtx, ofport: number): boolean {
  const port = ctx.bridge.xport(ofport);
  return port !== undefined && port.isUp !== false && (port.config & OFPPC.PORT_DOWN) === 0;
}

function choosePort(ctx: XlateCtx, a: OfpactBundle): number {
  const isUp = (port: number): boolean => ALWAYS_UP.has(port) || (port !== OFPP.CONTROLLER && isPortAlive(ctx, port));
  if (a.algorithm === 'active_backup') return a.members.find(isUp) ?? OFPP.NONE;
  if (a.members.length > 1) unwildcardHashFields(ctx.flow, ctx.wc, a.fields);
  const hash = hashFlowFields(ctx.flow, a.fields, a.basis);
  let best: number = OFPP.NONE;
  let bestHash = -1;
  for (const [i, port] of a.members.entries()) {
    const own = isUp(port) ? hash2Words(i, hash) : -1;
    if (own > bestHash) [best, bestHash] = [port, own];
  }
  return best;
}

/** Returns the port to output to; undefined if its number was written into a field. */
export function xlateBundle(ctx: XlateCtx, a: OfpactBundle): number | undefined {
  const port = choosePort(ctx, a);
  if (a.dst === undefined) return port;
  xlateLoad(ctx.flow, ctx.wc, a.dst, port);
  ctx.trace?.subfield(a.dst, ctx.flow);
  return undefined;
}
