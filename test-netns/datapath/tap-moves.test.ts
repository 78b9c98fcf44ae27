/** An internal port that is moved to another network namespace, and from there to a third one, stays a port that works. */
import { expect, test } from 'vitest';
import { eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatapath } from '../support/switch.ts';

let sw: Namespace;
let x: Namespace;
let y: Namespace;
const dpctl = (...args: string[]) => sw.ok([TAPSWITCH, 'dpctl', ...args]);

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  x = await lab.namespace('x');
  y = await lab.namespace('y');
  await startDatapath(sw);
  await dpctl('add-dp', 'dp0', 'i1,type=internal');
  for (const type of ['eth_type(0x0800),ipv4()', 'eth_type(0x0806),arp()']) {
    await dpctl('add-flow', 'dp0', `in_port(0),eth(),${type}`, '1');
    await dpctl('add-flow', 'dp0', `in_port(1),eth(),${type}`, '0');
  }
  await sw.address('dp0', '10.8.0.1/24');
});

test('two moves, and its end', async () => {
  await sw.ip(`link set i1 netns ${x.name}`);
  expect(await dpctl('show', 'dp0')).toContain('port 1: i1 (internal)');
  await x.ip(`link set i1 netns ${y.name}`);
  await dpctl('show', '-s', 'dp0');
  expect(await dpctl('show', '-s', 'dp0')).toContain('port 1: i1 (internal)');
  await y.address('i1', '10.8.0.2/24');
  const { sent, received, text } = await sw.ping('10.8.0.2', 3);
  expect({ sent, received }, text).toEqual({ sent: 3, received: 3 });

  await y.ip('link del i1');
  await eventually('the port is gone', async () => !(await dpctl('show', 'dp0')).includes('port 1:'));
});
