/** A bridge that has only what translation asks of it: ports without bundles, and rules. */

import { MacTable } from '../../../src/ofproto/mac-learning.ts';
import type { XPort } from '../../../src/ofproto/ports/bundle.ts';
import type { XBridge } from '../../../src/ofproto/xlate/xbridge.ts';

/** Port `ofport`, whose number in the datapath is the same if nothing else is said. */
export const barePort = (ofport: number, more: Partial<XPort> = {}): XPort => ({
  name: `p${ofport}`,
  type: '',
  ofport,
  odpPort: ofport,
  config: 0,
  bundle: undefined,
  ...more,
});

export const bareBridge = (
  ports: readonly XPort[],
  lookupRule: XBridge['lookupRule'],
  more: Partial<XBridge> = {},
): XBridge => ({
  name: 'br0',
  uuid: new Uint8Array(16),
  macs: new MacTable(),
  bundles: [],
  xports: ports,
  xport: (n) => ports.find((p) => p.ofport === n),
  lookupRule,
  upcallPid: () => 0,
  learn: () => {},
  ...more,
});
