/**
 * The order in which FLOOD and ALL send to the ports of a bridge: that of the stock switch, which is a hash table's.  Nothing depends on it
 * but texts that are compared.
 * Source: lib/hmap.[ch] (hmap_insert, hmap_resize), ofproto/ofproto-dpif-xlate.c (flood_packets, xlate_xbridge_copy).
 */
import { hash2Words } from '../../../flow/hash.ts';
import type { Bundle, XPort } from '../../ports/bundle.ts';

/** Chains that grow as a table's do: a port goes to the head of its chain, and all are moved over when there are more chains. */
class Chains {
  private chains: XPort[][] = [[]];
  private n = 0;

  insert(port: XPort): void {
    this.put(port);
    this.n++;
    if (this.n >>> 1 >= this.chains.length) this.grow();
  }

  private put(port: XPort): void {
    this.chains[hash2Words(port.ofport, 0) & (this.chains.length - 1)]?.unshift(port);
  }

  private grow(): void {
    let mask = this.n >>> 1;
    for (let shift = 1; shift < 32; shift *= 2) mask |= mask >>> shift;
    mask |= (mask & 1) << 1;
    const old = this.chains.flat();
    this.chains = Array.from({ length: mask + 1 }, () => []);
    for (const port of old) this.put(port);
  }

  get all(): XPort[] {
    return this.chains.flat();
  }
}

/** The ports of a bridge, first those of `bundles`. */
export function floodOrder(bundles: Iterable<Bundle>, ports: Iterable<XPort>): XPort[] {
  const chains = new Chains();
  const seen = new Set<number>();
  for (const bundle of bundles) {
    for (const port of bundle.members) {
      chains.insert(port);
      seen.add(port.ofport);
    }
  }
  for (const port of ports) if (!seen.has(port.ofport)) chains.insert(port);
  return chains.all;
}
