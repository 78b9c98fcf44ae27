/** Actions against the match of their flow: the same errors as the stock ovs-ofctl, and what a later encoding must know. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { checkActions, checkActionsConsistency } from '../../../src/openflow/actions/check.ts';
import { formatActions, parseInstructions } from '../../../src/openflow/actions/index.ts';
import { MF } from '../../../src/openflow/fields/mf-fields.ts';
import { type Match, matchSetField, newMatch } from '../../../src/openflow/match/match.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { OFPUTIL_P } from '../../../src/openflow/ofp-protocol.ts';

const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;

/** "eth_type=0x800,nw_proto=6": fields and small numbers. */
function matchOf(text: string): Match {
  const match = newMatch();
  for (const part of text.split(',').filter((p) => p !== '')) {
    const [name = '', number = '0'] = part.split('=');
    const field = MF[name];
    if (field === undefined) throw new Error(name);
    const value = new Uint8Array(field.bytes);
    new DataView(value.buffer).setUint8(field.bytes - 1, Number(number) & 0xff);
    if (field.bytes > 1) value[field.bytes - 2] = Number(number) >> 8;
    matchSetField(match, field, value);
  }
  return match;
}
const options = (match: string, tableId = 255) => ({ match: matchOf(match), maxPorts: 0xff00, tableId, nTables: 255 });
function errorOf(match: string, actions: string): string {
  try {
    checkActions(parseInstructions(actions).actions, options(match));
    return '';
  } catch (error) {
    if (error instanceof OfpError) return error.code;
    throw error;
  }
}

const IP = 'eth_type=0x800';
const TCP = 'eth_type=0x800,nw_proto=6';
// biome-ignore format: table
const CASES: readonly (readonly [match: string, actions: string, error: string])[] = [
  [TCP, 'set_field:1->tcp_dst', ''],
  [IP,  'set_field:1->tcp_dst', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'set_field:1->vlan_vid', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'push_vlan:0x8100,set_field:1->vlan_vid', ''],
  ['',  'push_vlan:0x8100,push_vlan:0x8100,push_vlan:0x8100', 'OFPBAC_BAD_TAG'],
  [TCP, 'push_mpls:0x8847,set_field:5->mpls_label', ''],
  [TCP, 'push_mpls:0x8847,set_field:5->tcp_dst', 'OFPBAC_MATCH_INCONSISTENT'],
  [TCP, 'clone(push_mpls:0x8847),set_field:5->tcp_dst', ''],
  ['',  'move:ip_src[]->reg0[]', 'OFPBAC_MATCH_INCONSISTENT'],
  [IP,  'move:ip_src[]->reg0[]', ''],
  ['',  'pop:eth_type', 'OFPBAC_BAD_SET_ARGUMENT'],
  ['',  'ct', 'OFPBAC_MATCH_INCONSISTENT'],
  [IP,  'ct(alg=ftp)', 'OFPBAC_MATCH_INCONSISTENT'],
  [TCP, 'ct(commit,alg=ftp,nat(src=1.2.3.4))', ''],
  [TCP, 'ct(commit,nat(src=1::2))', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'learn(ip_dst=1.2.3.4)', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'learn(eth_type=0x800,ip_dst=1.2.3.4)', ''],
  ['',  'learn(eth_type=0x800,ip_dst=ip_src)', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'delete_field:reg0', 'OFPBAC_BAD_ARGUMENT'],
  ['',  'output:ANY', 'OFPBAC_BAD_OUT_PORT'],
  ['',  'bundle(eth_src,0,hrw,ofport,members:CONTROLLER)', 'OFPBAC_BAD_OUT_PORT'],
  ['',  'resubmit(1,2,ct)', 'OFPBAC_MATCH_INCONSISTENT'],
  ['',  'write_actions(set_field:1->tcp_dst)', 'OFPBAC_MATCH_INCONSISTENT'],
];

describe('checks', () => {
  test.each(CASES)('%s: %s', (match, actions, error) => expect(errorOf(match, actions)).toBe(error));

  test.skipIf(!hasOfctl)('stock ovs-ofctl finds the same', () => {
    for (const [match, actions, error] of CASES) {
      const args = ['parse-flow', `${match}${match === '' ? '' : ','}actions=${actions}`];
      const r = spawnSync('ovs-ofctl', args, { encoding: 'utf8' });
      expect(/\((OFP\w+)\)$/m.exec(r.stderr)?.[1] ?? '', args[1]).toBe(error);
    }
  });

  test('what OpenFlow 1.0 lets pass', () => {
    const { actions } = parseInstructions('strip_vlan,mod_nw_ttl:3');
    expect(checkActions(actions, options('')).usableProtocols).toBe(OFPUTIL_P.OF10_ANY);
    expect(() => checkActionsConsistency(actions, OFPUTIL_P.OF13_OXM, options(''))).toThrow(OfpError);
  });

  test('what an encoding must know, and the match stays', () => {
    const o = options(TCP);
    const before = o.match.flow.slice();
    const { actions } = checkActions(parseInstructions('mod_tp_dst:5,push_mpls:0x8847').actions, o);
    expect(actions[0]).toMatchObject({ kind: 'mod_tp_dst', ipProto: 6 });
    expect(o.match.flow).toEqual(before);
    expect(formatActions(actions)).toBe('mod_tp_dst:5,push_mpls:0x8847');
  });

  test('goto_table goes forward', () => {
    const { actions } = parseInstructions('goto_table:5');
    expect(() => checkActions(actions, options('', 5))).toThrow(OfpError);
    expect(checkActions(actions, options('', 4)).actions).toEqual(actions);
  });
});
