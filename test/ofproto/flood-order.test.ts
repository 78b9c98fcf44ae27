/** Orders in which a stock switch (3.1) floods: what `ofproto/trace` of actions=ALL printed as ports were added one by one. */
import { expect, test } from 'vitest';
import { Bundle, type XPort } from '../../src/ofproto/ports/bundle.ts';
import { floodOrder } from '../../src/ofproto/xlate/forward/flood-order.ts';
import { OFPP } from '../../src/openflow/ofp-port.ts';

function bundleOf(ofport: number): Bundle {
  const bundle = new Bundle(`f${ofport}`);
  const port: XPort = { name: bundle.name, type: 'dummy', ofport, odpPort: ofport, config: 0, bundle };
  bundle.members = [port];
  return bundle;
}

const LOCAL = OFPP.LOCAL;
test.each([
  { added: [1, 2], want: [LOCAL, 1, 2] },
  { added: [1, 2, 3, 4, 5], want: [4, LOCAL, 1, 5, 2, 3] },
  { added: [1, 2, 3, 4, 5, 6], want: [6, 4, LOCAL, 1, 5, 2, 3] },
  { added: [1, 2, 3, 4, 5, 6, 7], want: [LOCAL, 5, 1, 4, 6, 7, 2, 3] },
  { added: [1, 2, 3, 4, 5, 6, 7, 8, 9, 100], want: [8, LOCAL, 9, 5, 100, 1, 4, 6, 7, 2, 3] },
  {
    added: [1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 200, 300, 17, 33],
    want: [8, LOCAL, 9, 5, 100, 33, 300, 1, 4, 6, 7, 17, 200, 2, 3],
  },
  {
    added: [1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 200, 300, 17, 33, 65, 129, 257],
    want: [257, LOCAL, 8, 100, 17, 129, 5, 9, 65, 33, 7, 6, 4, 1, 300, 2, 200, 3],
  },
])('ports $added', ({ added, want }) => {
  const bundles = [LOCAL, ...added].map(bundleOf);
  expect(floodOrder(bundles, []).map((port) => port.ofport)).toEqual(want);
});
