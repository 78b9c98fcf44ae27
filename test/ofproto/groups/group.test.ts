/** Buckets' actions, with the fields of tun_metadata that a bridge has at the time. */
import { expect, it } from 'vitest';
import { GroupBucket } from '../../../src/ofproto/groups/group.ts';
import { formatActions, parseActions } from '../../../src/openflow/actions/index.ts';
import { NXTTMC, TlvTable } from '../../../src/openflow/fields/tlv-table.ts';
import { bucket } from '../support/groups.ts';

it('follows the TLV table, and is told as it was said', () => {
  const set = new GroupBucket(bucket(1, parseActions('set_field:0x123456789a->tun_metadata0,output:1').actions));
  const wordsWith = (table: TlvTable): readonly number[] | undefined => {
    const [first] = set.actionsWith(table);
    return first?.kind === 'set_field' ? first.field.words : undefined;
  };
  const option = (index: number) => ({ index, optionLen: 4, optionType: index, optionClass: 0xffff });
  const first = new TlvTable().modify({ command: NXTTMC.ADD, mappings: [option(0)] });
  const second = new TlvTable().modify({ command: NXTTMC.ADD, mappings: [option(1), option(0)] });
  expect([new TlvTable(), first, second, first].map(wordsWith)).toEqual([undefined, [0], [1], [0]]);
  expect(set.actionsWith(first)).toBe(set.actionsWith(first));
  expect(formatActions(set.spec.ofpacts)).toBe('set_field:0x123456789a->tun_metadata0,output:1');
});
