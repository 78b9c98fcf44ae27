/** Replies about flows: what does not fit into a message. */
import { afterEach, expect, test } from 'vitest';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { decodeMessage, encodeReplies } from '../../../src/openflow/messages/codec.ts';
import { type FlowStats, OFPFC } from '../../../src/openflow/messages/flow/flow-types.ts';
import type { Ofpact } from '../../../src/openflow/ofpact.ts';
import { setConsole } from '../../../src/util/vlog.ts';

afterEach(() => setConsole(undefined));

const stats = (priority: number, ofpacts: readonly Ofpact[]): FlowStats => ({
  match: newMatch(),
  cookie: 0n,
  tableId: 0,
  priority,
  durationSec: 0,
  durationNsec: 0,
  idleTimeout: 0,
  hardTimeout: 0,
  idleAge: -1,
  hardAge: -1,
  packetCount: 0n,
  byteCount: 0n,
  ofpacts,
  flags: 0,
  importance: 0,
});

test('a flow that is too long for any message is left out, which the log says', () => {
  const lines: string[] = [];
  setConsole((line) => lines.push(line));
  const output: Ofpact = { kind: 'output', port: 1, maxLen: 0 };
  const body = [
    stats(1, [output]),
    stats(
      2,
      Array.from({ length: 9000 }, () => output),
    ),
    stats(3, [output]),
  ];
  const parts: Uint8Array[] = [];
  encodeReplies({ kind: 'flow_stats_reply', version: 1, xid: 1, body }, (part) => parts.push(part));
  const got = parts.map((part) => decodeMessage(part)).flatMap((m) => (m.kind === 'flow_stats_reply' ? m.body : []));
  expect(got.map((fs) => fs.priority)).toEqual([1, 3]);
  expect(lines.join('\n')).toMatch(/ofp_flow\|WARN\|Flow exceeded the maximum flow statistics reply size/);
});

test.each([2, 3, 4, 5, 6] as const)('version %i tells of fields that 1.0 and 1.1 do not have', (version) => {
  const { match } = parseFlow('reg0=5,ct_state=+trk,ipv6,ipv6_src=fd00::/16,actions=drop', OFPFC.ADD).flow;
  const parts: Uint8Array[] = [];
  const body = [{ ...stats(1, []), match }];
  encodeReplies({ kind: 'flow_stats_reply', version, xid: 1, body }, (part) => parts.push(part));
  const got = parts.map((part) => decodeMessage(part)).flatMap((m) => (m.kind === 'flow_stats_reply' ? m.body : []));
  expect(got.map((fs) => fs.match)).toEqual([match]);
});
