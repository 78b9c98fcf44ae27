/** Databases whose schema is of another release: columns that came later are followed, or said to be ignored, and missed by nobody. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Replica } from '../../src/ovsdb/replica.ts';
import { Bridge, CT_Zone, Datapath, Mirror, Open_vSwitch } from '../../src/ovsdb/vswitch-schema.ts';
import type { Json } from '../../src/util/json-stream.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { readCtLimits, readCtZones } from '../../src/vswitchd/config/ct-zone-config.ts';
import { REPLICATED } from '../../src/vswitchd/config/replicated.ts';
import { Unsupported } from '../../src/vswitchd/config/unsupported.ts';
import { Rows } from './rows.ts';

let lines: string[] = [];
beforeEach(() => {
  lines = [];
  setConsole((line) => lines.push(line));
});
afterEach(() => setConsole(undefined));

test('limits of conntrack zones', () => {
  const db = new Rows()
    .add(Open_vSwitch, 'o', { datapaths: new Map([['system', 'd']]) })
    .add(Datapath, 'd', {
      ct_zone_default_limit: 10,
      ct_zones: new Map([
        [4, 'z4'],
        [5, 'z5'],
        [6, 'z6'],
        [70000, 'z7'],
      ]),
    })
    .add(CT_Zone, 'z4', { limit: 3 })
    .add(CT_Zone, 'z5', {})
    .add(CT_Zone, 'z6', { limit: 2 ** 40 })
    .add(CT_Zone, 'z7', { limit: 1 });
  expect(readCtLimits(db).get('system')).toEqual({ defaultLimit: 10, zones: new Map([[4, 3]]) });
  expect([...(readCtZones(db).get('system')?.keys() ?? [])]).toEqual([4, 5, 6]);
});

test('without the columns there are no limits', () => {
  const db = new Rows().add(Open_vSwitch, 'o', { datapaths: new Map([['system', 'd']]) }).add(Datapath, 'd', {});
  expect(readCtLimits(db).get('system')).toEqual({ defaultLimit: undefined, zones: new Map() });
});

test('a filter of a mirror is said to be ignored', () => {
  const db = new Rows()
    .add(Bridge, 'b', { name: 'br0', mirrors: ['m', 'n'] })
    .add(Mirror, 'm', { name: 'm0', filter: 'icmp' })
    .add(Mirror, 'n', { name: 'm1' });
  new Unsupported((type) => type === 'system').report(db);
  expect(lines.join()).toContain('|WARN|bridge br0: mirror m0: a filter is not supported; its settings are ignored');
  expect(lines.join()).not.toContain('m1');
});

/** What a server answers to get_schema whose tables have all columns but those that came later, and some more. */
const schema = (later: boolean): Json => ({
  name: 'Open_vSwitch',
  version: '8.9.0',
  tables: Object.fromEntries(
    REPLICATED.map((spec) => {
      const names = Object.keys(spec.table.columns).filter((name) => later || !spec.later?.includes(name));
      return [
        spec.table.name,
        { columns: Object.fromEntries([...names, 'from_the_future'].map((name) => [name, {}])) },
      ];
    }),
  ),
});

test.each([true, false])(
  'whether a server has later columns (%s) is no matter, and those of the future are not asked for',
  (later) => {
    const replica = new Replica(REPLICATED);
    replica.learnSchema(schema(later));
    expect(replica.schemaVersion).toBe('8.9.0');
    expect(lines).toEqual([]);
    expect(replica.isReplicated(CT_Zone, 'limit')).toBe(later);
    expect(replica.isReplicated(CT_Zone, 'timeout_policy')).toBe(true);
    expect(JSON.stringify(replica.monitorRequests())).not.toContain('from_the_future');
  },
);
