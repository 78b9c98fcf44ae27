import { describe, expect, test } from 'vitest';
import { checkDpActions, checkDpMask } from '../../../src/ofproto/backer/dp-check.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from '../../../src/ofproto/backer/dp-support.ts';
import { parseActions } from '../../../src/openflow/actions/index.ts';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';

const errorOf = (check: () => void): string | undefined => {
  try {
    check();
    return undefined;
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
    return e.code;
  }
};
const without = (...names: (keyof DpSupport)[]): DpSupport => ({
  ...KERNEL_DP_SUPPORT,
  ...Object.fromEntries(names.map((name) => [name, false])),
});

describe('matches', () => {
  const maskOf = (match: string) => parseFlow(`${match},actions=`, 0).flow.match.mask;
  test.each([
    ['ip,ct_state=+trk', ['ctState']],
    ['ip,ct_state=+dnat', ['ctStateNat']],
    ['ip,ct_zone=1', ['ctZone']],
    ['ip,ct_mark=0/1', ['ctMark']],
    ['ip,ct_label=1', ['ctLabel']],
    ['ct_state=+trk,ip,ct_nw_src=10.0.0.1', ['ctOrigTuple']],
    ['ct_state=+trk,ipv6,ct_ipv6_dst=::1', ['ctOrigTuple6']],
    ['ct_state=+trk,ip,ct_nw_proto=6', ['ctOrigTuple', 'ctOrigTuple6']],
  ] as const)('%s needs %s', (match, features) => {
    expect(errorOf(() => checkDpMask(maskOf(match), without(...features)))).toBe('NXBMC_CT_DATAPATH_SUPPORT');
    expect(errorOf(() => checkDpMask(maskOf(match), KERNEL_DP_SUPPORT))).toBeUndefined();
    expect(errorOf(() => checkDpMask(maskOf('ip,nw_dst=1.2.3.4'), without(...features)))).toBeUndefined();
  });
});

describe('actions', () => {
  test.each([
    ['ct(commit)', 'ctState'],
    ['ct(commit,zone=5)', 'ctZone'],
    ['ct(commit,zone=reg0[0..15])', 'ctZone'],
    ['ct(force,commit)', 'ctOrigTuple'],
    ['ct(commit,nat(src=10.0.0.1))', 'ctStateNat'],
    ['ct(commit,exec(set_field:1->ct_mark))', 'ctMark'],
    ['ct(commit,exec(set_field:1->ct_label))', 'ctLabel'],
    ['resubmit(,5,ct)', 'ctOrigTuple'],
  ] as const)('%s needs %s', (text, feature) => {
    const { actions } = parseActions(text);
    expect(errorOf(() => checkDpActions(actions, without(feature)))).toBe('NXBAC_CT_DATAPATH_SUPPORT');
    expect(errorOf(() => checkDpActions(actions, KERNEL_DP_SUPPORT))).toBeUndefined();
  });

  test('fields of neighbor discovery that the module does not have', () => {
    const { actions } = parseActions('set_field:1->nd_options_type,output:1');
    expect(errorOf(() => checkDpActions(actions, KERNEL_DP_SUPPORT))).toBe('OFPBAC_BAD_SET_ARGUMENT');
    expect(errorOf(() => checkDpActions(actions, { ...KERNEL_DP_SUPPORT, ndExt: true }))).toBeUndefined();
  });
});
