/** Controllers: how a bridge finds them, what they are told, and what it does without them. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BUNDLE_CTRL, ROLE } from '../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../src/openflow/messages/flow/new-flow-mod.ts';
import type { BodyOf, OfMessage } from '../../src/openflow/messages/of-message.ts';
import { GROUP_COMMAND } from '../../src/openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../src/openflow/ofp-port.ts';
import { eventually, type Lab, type Namespace, useLab } from '../support/harness.ts';
import { Controller, connectPeer, relay } from '../support/of-controller.ts';
import { makePki, selfSigned } from '../support/pki.ts';
import { type Switch, startSwitch, startVswitchd, vsctl } from '../support/switch.ts';

let lab: Lab;
let sw: Namespace;
let host1: Namespace;
let main: Switch;
/** Of bridge "mute": says hello and nothing more. */
let mute: Controller;

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
  host1 = await lab.host(sw, 'host1', 'p1', '10.9.0.1/24');
  await lab.host(sw, 'host2', 'p2', '10.9.0.2/24');
  main = await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- set-fail-mode br0 secure -- add-port br0 p1 -- add-port br0 p2');
  // What takes time begins now, and is looked at in the end.
  mute = new Controller(lab, 'mute.ctl');
  mute.isMute = true;
  await mute.start();
  for (const mode of ['standalone', 'secure']) {
    const target = join(lab.dir, 'nobody.ctl');
    await vsctl(sw, `add-br ${mode} -- set-fail-mode ${mode} ${mode} -- set-controller ${mode} unix:${target}`);
    await ofctl(`add-flow ${mode} priority=7,tcp,actions=drop`);
  }
  await vsctl(sw, `add-br mute -- set-controller mute ${mute.target} -- set controller mute inactivity_probe=5000`);
});

const ofctl = (args: string): Promise<string> => sw.ok(['ovs-ofctl', ...args.split(' ')]);
const column = async (bridge: string, name: string): Promise<string> =>
  (await vsctl(sw, `get controller ${bridge} ${name}`)).trim();
const errorsOf = (answers: readonly OfMessage[]) =>
  answers.map((m) => (m.kind === 'error' ? m.body.err?.name : m.kind));
const setControllers = async (...controllers: Controller[]): Promise<void> => {
  await vsctl(sw, `set-controller br0 ${controllers.map((c) => c.target).join(' ')}`);
};

test('a controller is told of packets, answers them, and is listened to; the database knows it', async () => {
  const controller = await new Controller(lab, 'one.ctl').start();
  await setControllers(controller);
  const peer = await controller.peer();
  expect(peer.version).toBe(6);
  await eventually('it is connected', async () => (await column('br0', 'is_connected')) === 'true');
  expect(await column('br0', 'role')).toBe('other');
  expect(await column('br0', 'status')).toMatch(/^\{sec_since_connect="\d+", state=ACTIVE\}$/);

  await eventually(
    'the seconds go on',
    async () => Number(/sec_since_connect="(\d+)"/.exec(await column('br0', 'status'))?.[1]) >= 1,
  );

  const snoop = sw.daemon('snoop', ['ovs-ofctl', 'snoop', 'br0']);
  await eventually('the snooper is heard of', () => main.vswitchd.output().includes('new monitor connection from'));
  const body = newFlowMod('ADD', { priority: 0, ofpacts: [{ kind: 'output', port: OFPP.CONTROLLER, maxLen: 0xffff }] });
  expect(await peer.ask('flow_mod', body)).toEqual([]);
  const pinging = host1.ping('10.9.0.2', 3);
  const { body: pin } = await peer.hears('packet_in');
  expect([pin.packet.length, pin.packet[13]]).toEqual([42, 6]); // ARP
  // Whatever comes goes to all ports: they reach each other.
  const flood = setInterval(() => {
    for (const m of peer.told.splice(0)) {
      if (m.kind !== 'packet_in') continue;
      const { packet, flowMetadata } = m.body;
      const ofpacts: BodyOf['packet_out']['ofpacts'] = [{ kind: 'output', port: OFPP.FLOOD, maxLen: 0 }];
      peer.tell('packet_out', { bufferId: 0xffff_ffff, packet, flowMetadata, ofpacts });
    }
  }, 5);
  expect((await pinging).received).toBeGreaterThan(0);
  clearInterval(flood);
  await snoop.until('has printed both', () => /PACKET_IN[\s\S]*PACKET_OUT \(OF1.5\)/.test(snoop.output()));
  expect(snoop.output()).toMatch(/OFPT_FLOW_MOD \(OF1.5\) .* ADD priority=0 actions=CONTROLLER:65535/);
  await snoop.stop();

  await controller.stop();
  await eventually('it is gone', async () => (await column('br0', 'is_connected')) === 'false');
  expect(await column('br0', 'status')).toMatch(/sec_since_disconnect="\d+", state=(BACKOFF|CONNECTING)/);
  await controller.start();
  expect((await controller.peer()).version).toBe(6);
  await vsctl(sw, 'del-controller br0');
  await eventually('it has been let go', () => controller.peers.every((p) => p.isClosed));
  await controller.stop();
});

test('roles, generations, and what each is told', async () => {
  const [a, b] = [await new Controller(lab, 'a.ctl').start(), await new Controller(lab, 'b.ctl').start()];
  await setControllers(a, b);
  const [pa, pb] = [await a.peer(), await b.peer()];
  const role = (role: number, generationId: bigint) => ({ role, generationId });
  expect(await pa.ask('role_request', role(ROLE.PRIMARY, 5n))).toMatchObject([{ body: role(ROLE.PRIMARY, 5n) }]);
  const wantsRole = { primary: { roleStatus: 7 }, secondary: { roleStatus: 7 } };
  await pa.ask('set_async_config', wantsRole);
  expect(errorsOf(await pb.ask('role_request', role(ROLE.PRIMARY, 4n)))).toEqual(['OFPRRFC_STALE']);
  await pb.ask('role_request', role(ROLE.PRIMARY, 6n));
  expect((await pa.hears('role_status')).body).toMatchObject({ role: ROLE.SECONDARY, reason: 0, generationId: 6n });
  const flow = newFlowMod('ADD', { priority: 3 });
  expect(errorsOf(await pa.ask('flow_mod', flow))).toEqual(['OFPBRC_IS_SECONDARY']);
  expect(errorsOf(await pb.ask('flow_mod', flow))).toEqual([]);
  expect((await pa.ask('role_request', { role: ROLE.NOCHANGE, generationId: 0n }))[0]).toMatchObject({
    body: { role: ROLE.SECONDARY },
  });
  const roles = async () => (await vsctl(sw, '--bare --columns=role find controller is_connected=true')).split('\n');
  await eventually('the database knows the roles', async () => {
    const known = await roles();
    return known.includes('master') && known.includes('slave');
  });

  // Ports are told to both, flows to the primary only, and only what its masks say.
  await vsctl(sw, 'add-port br0 x -- set interface x type=internal');
  expect((await pa.hears('port_status')).body).toMatchObject({ reason: 0, desc: { name: 'x' } });
  await pb.hears('port_status', (m) => m.body.reason === 0);
  await pb.ask('set_async_config', { primary: { portStatus: 0 }, secondary: {} });
  await vsctl(sw, 'del-port br0 x');
  await pa.hears('port_status', (m) => m.body.reason === 1);
  await pb.ask('barrier_request', undefined);
  expect(pb.told.filter((m) => m.kind === 'port_status')).toEqual([]);

  // Changes of groups are told to who asked for that.
  const forward = { requestForward: 1 };
  await pa.ask('set_async_config', { primary: forward, secondary: forward });
  const props = { selectionMethod: '', selectionMethodParam: 0n, fields: [] };
  const group = { command: GROUP_COMMAND.ADD, commandBucketId: 0xffff_ffff, groupId: 9, type: 0, buckets: [], props };
  expect(await pb.ask('group_mod', group)).toEqual([]);
  expect((await pa.hears('requestforward')).body).toMatchObject({ reason: 'group_mod', groupMod: { groupId: 9 } });

  await vsctl(sw, 'del-controller br0');
  await Promise.all([a.stop(), b.stop()]);
});

test('what is wrong is answered, and the connection stays', async () => {
  const peer = await connectPeer(join(lab.dir, 'br0.mgmt'), 1 << 4);
  const raw = (type: number, body: readonly number[], version = 4) => {
    const size = 8 + body.length;
    return peer.askRaw(Uint8Array.of(version, type, size >> 8, size & 255, 0, 0, 0x77, 0x77, ...body), 0x7777);
  };
  const zeros = (n: number) => new Array<number>(n).fill(0);
  expect(errorsOf(await raw(99, []))).toEqual(['OFPBRC_BAD_TYPE']);
  expect(errorsOf(await raw(14, zeros(4)))).toEqual(['OFPBRC_BAD_LEN']);
  expect(errorsOf(await raw(18, [0xff, 0xee, 0, 0, 0, 0, 0, 0]))).toEqual(['OFPBRC_BAD_STAT']);
  expect(errorsOf(await raw(4, [0, 1, 2, 3, 0, 0, 0, 1]))).toEqual(['OFPBRC_BAD_VENDOR']);
  expect(errorsOf(await raw(5, [], 6))).toEqual(['OFPBRC_BAD_VERSION']);
  expect(errorsOf(await raw(5, [], 9))).toEqual(['OFPBRC_BAD_VERSION']);
  // The whole of it comes back, however long it is.
  const [error] = await raw(99, zeros(2000));
  expect(error?.kind === 'error' && error.body.data.length).toBe(2008);
  expect(
    errorsOf(await peer.ask('bundle_control', { bundleId: 1, type: BUNDLE_CTRL.COMMIT_REQUEST, flags: 0 })),
  ).toEqual(['OFPBFC_BAD_ID']);
  expect(
    await peer.ask('echo_request', { data: Uint8Array.of(1, 2, 3) } as unknown as BodyOf['echo_request']),
  ).toHaveLength(1);
  peer.close();
});

test('TCP, TLS and Unix sockets, both ways', async () => {
  const { dir } = lab;
  const pem = (name: string) => join(dir, `${name}.pem`);
  await makePki(dir, 'switch', 'controller');
  await vsctl(sw, `set-ssl ${pem('switch-key')} ${pem('switch')} ${pem('ca')}`);

  const [plain, secret] = [await new Controller(lab, 'tcp.ctl').start(), await new Controller(lab, 'ssl.ctl').start()];
  await relay(sw, 6653, plain);
  await relay(sw, 6654, secret, pem('controller-key'), pem('controller'), pem('ca'));
  const passive = `ptcp:6655:127.0.0.1 pssl:6656:127.0.0.1 punix:${dir}/br0.extra`;
  await vsctl(sw, `set-controller br0 tcp:127.0.0.1 ssl:127.0.0.1:6654 ${passive}`);
  for (const controller of [plain, secret]) {
    const peer = await controller.peer();
    expect(await peer.ask('desc_stats_request', undefined)).toMatchObject([{ body: { hwDesc: 'Open vSwitch' } }]);
  }
  expect(await ofctl('show tcp:127.0.0.1:6655')).toContain(' 1(p1)');
  expect(await ofctl(`show unix:${dir}/br0.extra`)).toContain(' 1(p1)');
  const identity = `-p ${pem('controller-key')} -c ${pem('controller')} -C ${pem('ca')}`;
  expect(await ofctl(`${identity} show ssl:127.0.0.1:6656`)).toContain(' 1(p1)');
  // Who cannot show a certificate of the CA is not let in.
  await selfSigned(dir, 's');
  const refused = await sw.run(
    `ovs-ofctl -p ${pem('s-key')} -c ${pem('s')} -C ${pem('ca')} show ssl:127.0.0.1:6656`.split(' '),
  );
  expect(refused.status).not.toBe(0);

  // Files elsewhere are none of the database's business.
  await vsctl(sw, 'set-controller br0 unix:/tmp/elsewhere punix:/tmp/elsewhere2');
  await eventually('both are refused', () => {
    const log = main.vswitchd.output();
    return (
      log.includes('Not connecting to socket controller "unix:/tmp/e') && log.includes('Not adding Unix domain socket')
    );
  });
  expect(existsSync('/tmp/elsewhere2')).toBe(false);
  expect(existsSync(join(dir, 'br0.extra'))).toBe(false);
  await vsctl(sw, 'del-controller br0');
  await Promise.all([plain.stop(), secret.stop()]);
});

test('versions and fail modes that change', async () => {
  const controller = await new Controller(lab, 'v.ctl').start();
  await setControllers(controller);
  expect((await controller.peer()).version).toBe(6);
  await vsctl(sw, 'set bridge br0 protocols=OpenFlow11,OpenFlow13');
  await eventually('it connects again, with the best of these', async () => (await controller.peer()).version === 4);
  const old = await sw.run(['ovs-ofctl', '-O', 'OpenFlow10', 'show', 'br0']);
  expect([old.status, old.stderr]).toEqual([1, expect.stringContaining('version negotiation failed')]);
  await vsctl(sw, 'clear bridge br0 protocols');
  await vsctl(sw, 'del-controller br0 -- set-fail-mode br0 secure');
  expect(await ofctl('--no-stats dump-flows br0')).toBe('');
  await vsctl(sw, 'set-fail-mode br0 standalone');
  expect(await ofctl('--no-stats dump-flows br0')).toBe(' priority=0 actions=NORMAL\n');
  expect((await host1.ping('10.9.0.2', 2)).received).toBeGreaterThan(0);
  await controller.stop();
});

test('a controller that falls silent is probed, let go, and connected to again', async () => {
  await eventually('the second connection', () => mute.peers.length >= 2);
  expect(main.vswitchd.output()).toContain(
    `mute<->${mute.target}: no response to inactivity probe after 5 seconds, disconnecting`,
  );
  const log = main.vswitchd.output();
  for (const wait of ['waiting 2 seconds', 'waiting 4 seconds']) {
    expect(log).toContain(`secure<->unix:${lab.dir}/nobody.ctl: ${wait} before reconnect`);
  }
  expect(log).toContain('continuing to retry connections in the background but suppressing further logging');
});

test('without a controller for three probes: standalone forwards, secure goes on as told', async () => {
  const flows = async (bridge: string) => (await ofctl(`--no-stats dump-flows ${bridge}`)).trim();
  await eventually('it fails open', () => main.vswitchd.output().includes('failing open'));
  expect(await flows('standalone')).toBe('');
  // The flow is higher than any that OpenFlow can name, and not shown.
  expect(await sw.ok(['ovs-appctl', 'bridge/dump-flows', 'standalone'])).toMatch(/priority=15790320,actions=NORMAL/);
  expect(await flows('secure')).toBe('priority=7,tcp actions=drop');
  const controller = await new Controller(lab, 'nobody.ctl').start();
  // A barrier of either bridge's controller: it takes the switch.
  await eventually(
    'both connect',
    () => controller.peers.filter((p) => !p.isClosed && p.vconn.version).length === 2,
    20_000,
  );
  for (const peer of controller.peers) if (!peer.isClosed) await peer.ask('barrier_request', undefined);
  await eventually('it is over', () => main.vswitchd.output().includes('No longer in fail-open mode'));
  expect(await sw.ok(['ovs-appctl', 'bridge/dump-flows', 'standalone'])).not.toContain('priority=15790320');
  await controller.stop();
});

test('sockets go with their bridge and with the switch; what a killed one left does no harm', async () => {
  const sockets = () =>
    readdirSync(lab.dir)
      .filter((name) => /\.(mgmt|snoop)$/.test(name))
      .sort();
  for (const bridge of ['standalone', 'secure', 'mute']) await vsctl(sw, `del-br ${bridge}`);
  await eventually('those of the bridges are gone', () => sockets().join() === 'br0.mgmt,br0.snoop');
  await main.vswitchd.kill();
  expect(sockets()).toEqual(['br0.mgmt', 'br0.snoop']);
  main.vswitchd = await startVswitchd(sw);
  await eventually('it listens again', async () => (await sw.run(['ovs-ofctl', 'show', 'br0'])).status === 0);
  await main.vswitchd.stop();
  expect(sockets()).toEqual([]);
  await mute.stop();
});
