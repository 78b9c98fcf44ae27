import { expect, it } from 'vitest';
import {
  DP_FEATURES,
  dpCapabilities,
  formatDpSupport,
  KERNEL_DP_SUPPORT as KERNEL,
  setDpFeature,
} from '../../../src/ofproto/backer/dp-support.ts';

it('dpif/show-dp-features: a line a feature', () => {
  const lines = formatDpSupport({ ...KERNEL, addMpls: false }).split('\n');
  expect(lines).toHaveLength(Object.keys(DP_FEATURES).length + 1);
  expect(lines.slice(0, 7)).toEqual([
    'Masked set action: Yes',
    'Tunnel push pop: No',
    'Ufid: Yes',
    'Truncate action: Yes',
    'Clone action: Yes',
    'Sample nesting: 10',
    'Conntrack eventmask: Yes',
  ]);
  expect(lines).toContain('MPLS Label add: No');
  expect(lines).toContain('Max VLAN headers: 2');
});

const probed = { ...KERNEL, addMpls: false };
const set = (name?: string, value?: string, isForced = false) => setDpFeature(KERNEL, probed, name, value, isForced);

// biome-ignore format: table
it.each([
  ['a flag off',                     'clone', 'FALSE', { clone: false }],
  ['a number down',                  'sample_nesting', '2', { sampleNesting: 2 }],
  ['a number to what was probed',    'sample_nesting', '10', { sampleNesting: 10 }],
] as const)('sets %s', (_, name, value, change) => {
  expect(set(name, value)).toEqual({ support: { ...KERNEL, ...change }, text: '' });
});

// biome-ignore format: table
it.each([
  ['pigs_fly', 'true',        'Unexpected support field'],
  ['add_mpls', 'true',        'Can not enable features not supported by the datapth'],
  ['clone', 'yes',            'Boolean value expected'],
  ['sample_nesting', '11',    'Can not set value beyond the datapath capability'],
  ['sample_nesting', '-1',    'Negative number not expected'],
  ['sample_nesting', '2x',    'Integer number expected'],
] as const)('refuses %s %s', (name, value, text) => {
  expect(set(name, value)).toEqual({ text });
});

it('sets what the datapath cannot do if forced', () => {
  expect(set('add_mpls', 'true', true).support?.addMpls).toBe(true);
  expect(set('max_hash_alg', '5', true).support?.maxHashAlg).toBe(5);
});

it('shows a feature, or all', () => {
  expect(set('add_mpls').text).toBe('add_mpls (MPLS Label add) : [run time]:true, [boot time]:false\n');
  expect(set().text.split('\n')).toHaveLength(27);
});

it('puts capabilities into the database', () => {
  const caps = dpCapabilities(KERNEL);
  expect(Object.fromEntries([...caps].slice(0, 6))).toEqual({
    masked_set_action: 'true',
    tnl_push_pop: 'false',
    ufid: 'true',
    trunc: 'true',
    clone: 'true',
    sample_nesting: 'true',
  });
  expect([caps.get('max_vlan_headers'), caps.get('ct_flush'), caps.get('max_hash_alg')]).toEqual(['2', 'true', '0']);
});
