/** Flows that were sent to the real module: what it took must compile here, and what it refused must not. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { compileActions } from '../../src/datapath/actions/compile-actions.ts';
import { getMatch } from '../../src/datapath/match/match.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { AttrCursor, MessageView } from '../../src/netlink/message.ts';
import { OVS_ACTION_ATTR as A } from '../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR } from '../../src/odp/key/key-table.ts';

/** Actions that need what is not here: conntrack. */
const NOT_HERE = new Set<number>([A.CT, A.CT_CLEAR]);

interface Line {
  scenario: string;
  step: string;
  direction: string;
  family: string;
  cmd: string;
  hex: string;
  errno?: number;
}
const FLOW = { KEY: 1, ACTIONS: 2, MASK: 7 };

function* recordsOf(file: string): Generator<Line> {
  for (const line of gunzipSync(readFileSync(file)).toString().trim().split('\n')) yield JSON.parse(line) as Line;
}
function messageOf(line: Line): MessageView {
  const raw = Uint8Array.from(Buffer.from(line.hex, 'hex'));
  const msg = new MessageView();
  expect(msg.set(new DataView(raw.buffer), 0, raw.length)).toBe(true);
  return msg;
}

/** Whether a list has an action of `NOT_HERE`, or sets a tunnel, anywhere. */
function needsMore(dv: DataView, at: number, size: number): boolean {
  const it = new AttrCursor(dv, at, at + size, 'actions');
  while (it.next()) {
    if (NOT_HERE.has(it.type)) return true;
    if (it.type === A.SET && dv.getUint16(it.at + 2, true) === OVS_KEY_ATTR.TUNNEL) return true;
    if (it.type === A.CLONE && needsMore(dv, it.at, it.size)) return true;
    if (it.type === A.SAMPLE || it.type === A.CHECK_PKT_LEN || it.type === A.DEC_TTL) {
      const inner = new AttrCursor(dv, it.at, it.at + it.size, 'nest');
      while (inner.next()) if (inner.size > 4 && needsMore(dv, inner.at, inner.size)) return true;
    }
  }
  return false;
}

const FILES = ['netlink.jsonl.gz', 'upcalls.jsonl.gz'].map(
  (name) => new URL(`../../../shared/golden/${name}`, import.meta.url).pathname,
);
const isThere = FILES.every((f) => existsSync(f));
if (!isThere) console.log(`skipped: no recordings of the real module at ${FILES.join(', ')}`);

test.skipIf(!isThere)('FLOW NEW and SET are taken or refused as the real module did', () => {
  const counts = { taken: 0, refused: 0, beyond: 0 };
  for (const file of FILES) {
    const lines = [...recordsOf(file)];
    const errnos = new Map<string, number>();
    const nameOf = (line: Line) => `${line.scenario} ${messageOf(line).seq}`;
    for (const l of lines)
      if (l.cmd === 'ERROR' && l.errno !== undefined) errnos.set(`${nameOf(l)} ${messageOf(l).pid}`, l.errno);
    for (const line of lines) {
      if (line.direction !== 'request' || line.family !== 'ovs_flow' || (line.cmd !== 'NEW' && line.cmd !== 'SET'))
        continue;
      const msg = messageOf(line);
      const range = new Map<number, { dv: DataView; at: number; size: number }>();
      const it = new AttrCursor(msg.dv, msg.ovsAttrs, msg.end, 'flow');
      while (it.next()) range.set(it.type, { dv: msg.dv, at: it.at, size: it.size });
      const [keyNest, actions] = [range.get(FLOW.KEY), range.get(FLOW.ACTIONS)];
      if (keyNest === undefined || actions === undefined) continue;
      const errno = Math.abs(errnos.get(`${nameOf(line)} ${msg.pid}`) ?? 0);
      // Other errors are about what is in the table already.
      if (errno !== 0 && errno !== 22 && errno !== 75 && errno !== 90) continue;

      let got = 0;
      try {
        const [key, mask] = [newFlowKey(), newFlowKey()];
        getMatch(keyNest, range.get(FLOW.MASK) ?? null, key, mask);
        compileActions(
          msg.dv,
          actions.at,
          actions.size,
          key.map((w, i) => w & mask[i]!),
        );
      } catch (e) {
        if (!(e instanceof NetlinkError)) throw e;
        got = e.errno;
      }
      if (got !== 0 && errno === 0 && needsMore(msg.dv, actions.at, actions.size)) {
        counts.beyond++;
        continue;
      }
      expect(got, `${line.scenario}: ${line.step}`).toBe(errno);
      if (errno === 0) counts.taken++;
      else counts.refused++;
    }
  }
  // So that a change of the recordings' format does not make this test empty.
  expect(counts.taken).toBeGreaterThan(100);
  expect(counts.refused).toBeGreaterThan(30);
});
