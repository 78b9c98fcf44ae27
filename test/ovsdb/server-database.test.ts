/** What a server says of its databases, and whether it will do; lines as stock's. */
import { expect, test } from 'vitest';
import { ServerDatabases } from '../../src/ovsdb/server-database.ts';

const CID = '550e8400-e29b-41d4-a716-446655440000';
const schema = ['set', ['{"name":"D"}']];
const clustered = {
  name: 'D',
  model: 'clustered',
  connected: true,
  leader: true,
  schema,
  cid: ['uuid', CID],
  index: 7,
};
const relay = { name: 'D', model: 'relay', connected: true, leader: false, schema };

// biome-ignore format: table
test.each([
  [{ name: 'D', model: 'standalone', connected: true, schema: '{}' }, {}, undefined],
  [{ name: 'E', model: 'standalone', connected: true, schema: '{}' }, {}, 'server does not have D database'],
  [{ name: 'D', model: 'standalone', connected: true, schema: ['set', []] }, {}, 'missing database schema'],
  [clustered, {}, undefined],
  [clustered, { cid: CID, database: 'other' }, undefined],
  [clustered, { cid: CID.replace('5', '6') }, 'server does not have D database'],
  [{ ...clustered, leader: false }, {}, 'clustered database server is not cluster leader; trying another server'],
  [{ ...clustered, leader: false }, { leaderOnly: false }, undefined],
  [{ ...clustered, connected: false }, {}, 'clustered database server is disconnected from cluster; trying another server'],
  [{ ...clustered, schema: ['set', []] }, {}, 'clustered database server has not yet joined cluster; trying another server'],
  [relay, {}, 'relay database server cannot be a leader; trying another server'],
  [relay, { leaderOnly: false }, undefined],
  [{ ...relay, connected: false }, {}, 'relay database server is disconnected from the relay source; trying another server'],
  [{ ...relay, schema: ['set', []] }, {}, 'relay database server has not yet connected to the relay source; trying another server'],
] as const)('%j %j', (row, wanted, problem) => {
  const servers = new ServerDatabases();
  servers.update({ Database: { u: { initial: row as never } } });
  const verdict = servers.judge({ database: 'D', cid: undefined, leaderOnly: true, ...wanted });
  expect('problem' in verdict ? verdict.problem : undefined).toBe(problem);
});

test('a server that is behind what another has shown is not used', () => {
  const servers = new ServerDatabases();
  const judge = () => servers.judge({ database: 'D', cid: undefined, leaderOnly: true });
  servers.update({ Database: { u: { initial: clustered as never } } });
  expect(judge()).toEqual({ schema: '{"name":"D"}' });
  servers.update({ Database: { u: { modify: { index: 9 } } } });
  expect(judge()).toEqual({ schema: '{"name":"D"}' });
  servers.clear();
  servers.update({ Database: { v: { initial: { ...clustered, index: 8 } as never } } });
  expect(judge()).toMatchObject({ problem: expect.stringContaining('stale data'), level: 'warn' });
  servers.update({ Database: { v: { delete: null } } });
  expect(judge()).toMatchObject({ isMissing: true });
});
