/** TLS as the command line of vswitchd sets it: to the database, to controllers, and in what versions. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Lab, type Namespace, type Result, TAPSWITCH, useLab } from '../support/harness.ts';
import { Controller, relay } from '../support/of-controller.ts';
import { makePki } from '../support/pki.ts';
import { startDatapath, vsctl } from '../support/switch.ts';

let lab: Lab;
let sw: Namespace;
const pem = (name: string): string => join(lab.dir, `${name}.pem`);
const CIPHER = 'ECDHE-ECDSA-AES256-GCM-SHA384';

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
  const { dir } = lab;
  await makePki(dir, 'switch', 'server');
  await startDatapath(sw);
  const file = join(dir, 'conf.db');
  await sw.ok(['ovsdb-tool', 'create', file, '/usr/share/openvswitch/vswitch.ovsschema']);
  const identity = ['-p', pem('server-key'), '-c', pem('server'), '-C', pem('ca')];
  const remotes = [`--remote=punix:${dir}/db.sock`, '--remote=pssl:6640:127.0.0.1'];
  const database = sw.daemon('ovsdb-server', [
    'ovsdb-server',
    file,
    ...remotes,
    ...identity,
    '--unixctl=none',
    '-vsyslog:off',
  ]);
  await database.until('listens', () => existsSync(join(dir, 'db.sock')));
});

/** What openssl says of a connection to the switch. */
const probe = (...args: string[]): Promise<Result> =>
  sw.run(
    ['openssl', 's_client', '-connect', '127.0.0.1:6656', '-cert', pem('switch'), '-key', pem('switch-key'), ...args],
    { input: '' },
  );

test('the database is reached, with a CA certificate that it brings along; so are controllers', async () => {
  const identity = ['-p', pem('switch-key'), '-c', pem('switch'), '--bootstrap-ca-cert', pem('brought')];
  const limits = ['--ssl-protocols=TLSv1.2', `--ssl-ciphers=${CIPHER}`];
  const args = [...identity, ...limits, `--pidfile=${lab.dir}/ovs-vswitchd.pid`, '-vconsole:info'];
  const vswitchd = sw.daemon('vswitchd', [TAPSWITCH, 'vswitchd', 'ssl:127.0.0.1:6640', ...args]);
  await vswitchd.until('has the certificate', () => existsSync(pem('brought')));
  expect(vswitchd.output()).toContain('successfully bootstrapped CA cert');
  await vsctl(sw, 'add-br br0');

  const controller = await new Controller(lab, 'ssl.ctl').start();
  await relay(sw, 6654, controller, pem('server-key'), pem('server'), pem('ca'));
  await vsctl(sw, 'set-controller br0 ssl:127.0.0.1:6654 pssl:6656:127.0.0.1');
  const peer = await controller.peer();
  expect(await peer.ask('desc_stats_request', undefined)).toMatchObject([{ body: { hwDesc: 'Open vSwitch' } }]);
  await controller.stop();
});

test('connections have the protocol and the cipher that were asked for, and no others', async () => {
  await eventually('it listens', async () => (await probe()).stdout.includes('Cipher'));
  const { stdout } = await probe();
  expect(stdout).toContain(`New, TLSv1.2, Cipher is ${CIPHER}`);
  expect((await probe('-tls1_3')).stdout).toContain('Cipher is (NONE)');
  expect((await probe('-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256')).stdout).toContain('Cipher is (NONE)');
});
