import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { newFlow, setField } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { queuePriority } from '../../src/ofproto/xlate/actions/xlate-send.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-ctx.ts';
import type { MfField } from '../../src/openflow/fields/mf-field.ts';
import { mfByName } from '../../src/openflow/fields/mf-fields.ts';
import { OFPP } from '../../src/openflow/ofp-port.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';
import { bareBridge, barePort } from './support/bare-bridge.ts';
import { catchAll, newRule } from './support/rules.ts';

const reg0 = { field: mfByName('reg0') as MfField, ofs: 0, bits: 16 };
const load = (value: number): Ofpact => ({
  kind: 'set_field',
  field: reg0.field,
  value: Uint8Array.of(0, 0, value >> 8, value),
  mask: Uint8Array.of(0, 0, 255, 255),
  isLoad: true,
});
const output = (port: number): Ofpact => ({ kind: 'output', port, maxLen: 0 });

/** A port that the datapath does not know. */
const PATCH = 5;

/** Translates a packet of port 1 of a bridge with ports 1 to 5, port 4 of them down; OpenFlow and datapath numbers are the same. */
function translate(...actions: Ofpact[]) {
  const flow = newFlow();
  setField(flow, FIELD.inPort, 1);
  setField(flow, FIELD.ethType, 0x1234);
  const ports = [1, 2, 3, 4, 5].map((n) =>
    barePort(n, { odpPort: n === PATCH ? 0xffffffff : n, config: n === 4 ? 1 : 0 }),
  );
  const rule = newRule({ priority: 0, match: catchAll(), actions });
  const bridge = bareBridge(ports, () => rule);
  const out = xlateActions({
    bridge,
    flow,
    ofpInPort: 1,
    hasSideEffects: false,
    stats: undefined,
    cache: undefined,
  });
  return [formatOdpActions(out.actions), out.error];
}

const bundle = (algorithm: 'active_backup' | 'hrw', members: number[], dst?: typeof reg0): Ofpact => ({
  kind: 'bundle',
  algorithm,
  fields: 'eth_src',
  basis: 0,
  members,
  dst,
});

describe('actions that send', () => {
  // biome-ignore format: table
  const CASES: [string, Ofpact[], string][] = [
    ['to a queue',                [{ kind: 'enqueue', port: 2, queue: 3 }, output(3)], 'set(skb_priority(0x10004)),2,set(skb_priority(0)),3'],
    ['to a queue of IN_PORT',     [{ kind: 'enqueue', port: OFPP.IN_PORT, queue: 0 }], 'set(skb_priority(0x10001)),1'],
    ['to a queue of the input',   [{ kind: 'enqueue', port: 1, queue: 0 }],            'drop'],
    ['to a queue there is not',   [{ kind: 'enqueue', port: 2, queue: 0xf000 }],       '2'],
    ['set_queue, pop_queue',      [{ kind: 'set_queue', queue: 1 }, output(2), { kind: 'pop_queue' }, output(3)], 'set(skb_priority(0x10002)),2,set(skb_priority(0)),3'],
    ['shortened',                 [{ kind: 'output_trunc', port: 2, maxLen: 100 }, output(3)], 'trunc(100),2,3'],
    ['shortened, no such port',   [{ kind: 'output_trunc', port: 9, maxLen: 100 }],    'drop'],
    ['shortened, to a port down', [{ kind: 'output_trunc', port: 4, maxLen: 100 }, output(3)], '3'],
    ['shortened, to a patch port', [{ kind: 'output_trunc', port: PATCH, maxLen: 100 }, output(3)], '3'],
    ['shortened, to FLOOD',       [{ kind: 'output_trunc', port: OFPP.FLOOD, maxLen: 100 }], 'drop'],
    ['to the port of a register', [load(3), { kind: 'output_reg', src: reg0, maxLen: 0 }], '3'],
    ['to the first that is up',   [bundle('active_backup', [4, 3, 2])],                '3'],
    ['to none that is up',        [bundle('hrw', [4])],                                'drop'],
    ['by bundle_load',            [bundle('hrw', [4, 2], reg0), { kind: 'output_reg', src: reg0, maxLen: 0 }], '2'],
  ];
  it.each(CASES)('%s', (_name, actions, text) => {
    expect(translate(...actions)).toEqual([text, XLATE_ERROR.OK]);
  });

  it('know which queues have a priority', () => {
    expect([queuePriority(0), queuePriority(0xefff), queuePriority(0xf000)]).toEqual([0x10001, 0x1f000, undefined]);
  });
});
