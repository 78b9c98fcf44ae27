import { afterEach, expect, test } from 'vitest';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { DATAPATH_PORT_ID } from '../../src/netlink/constants.ts';
import { MemoryNetlink } from '../../src/netlink/transport.ts';
import { FakeClock, monotonicMs, setClock } from '../../src/util/clock.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { type DpifWorld, testDpif } from '../suites/dpif.suite.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { waitFor } from '../support/wait-for.ts';

testDpif('netlink, our datapath, in memory', (): DpifWorld => {
  const host = new MemoryHost();
  return {
    provider: new DpifNetlinkProvider(async () => host.endpoint),
    addDevice: (name) => void host.addDevice(name),
    receive: (name, frame) => host.device(name).receive(frame),
    sent: (name) => host.device(name).sent,
    close: () => host.close(),
  };
});

const lines: string[] = [];
/** Lets the rate limits recover from what was logged before. */
let nHours = 0;
const waitAnHour = () => setClock(new FakeClock(monotonicMs() + 3_600_000 * ++nHours));
const logged = () => lines.map((l) => l.replace(/^[^|]*\|\d+\|/, '').trimEnd());
afterEach(() => {
  setConsole(undefined);
  setClock(undefined);
  lines.length = 0;
});

test('without a datapath there is an error that says what is missing; one that comes later is found', async () => {
  setConsole((l) => lines.push(l));
  const net = new MemoryNetlink();
  let open = () => net.open();
  const provider = new DpifNetlinkProvider(async () => ({ open: () => open(), peer: DATAPATH_PORT_ID }));
  await expect(provider.enumerate()).rejects.toMatchObject({ errno: ERRNO.ENOENT });
  expect(logged()).toEqual([
    "dpif_netlink|INFO|Generic Netlink family 'ovs_datapath' does not exist. The Open vSwitch kernel module is probably " +
      'not loaded, and no emulated datapath (tapswitch datapath) runs in this network namespace.',
  ]);
  const host = new MemoryHost();
  open = () => host.net.open();
  expect(await provider.enumerate()).toEqual([]);
  provider.close();
  host.close();
});

test('a datapath that ends makes what comes next fail, in words', async () => {
  waitAnHour();
  setConsole((l) => lines.push(l));
  const host = new MemoryHost();
  const provider = new DpifNetlinkProvider(async () => host.endpoint);
  const dpif = await provider.open('dp0', true);
  host.close();
  await expect(dpif.stats()).rejects.toThrow(
    'Connection refused (no emulated datapath runs in this network namespace)',
  );
  expect(logged().at(-1)).toBe('dpif|WARN|system@dp0: get_stats failed (Connection refused)');
  dpif.close();
  provider.close();
});

test('what fails is logged as stock Open vSwitch does, and no more often', async () => {
  waitAnHour();
  setConsole((l) => lines.push(l));
  const host = new MemoryHost();
  const provider = new DpifNetlinkProvider(async () => host.endpoint);
  const dpif = await provider.open('dp0', true);
  for (let i = 0; i < 20; i++) await expect(dpif.portDel(99)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
  const failures = logged().filter((l) => l === 'dpif|WARN|system@dp0: port_del failed (No such device)');
  // A burst of five; what was left of an earlier one may add to it.
  expect(failures.length).toBeGreaterThanOrEqual(5);
  expect(failures.length).toBeLessThan(10);
  dpif.close();
  provider.close();
  host.close();
});

test('a second switch takes the upcalls over', async () => {
  setConsole(() => {});
  const host = new MemoryHost();
  host.addDevice('v1');
  const provider = new DpifNetlinkProvider(async () => host.endpoint);
  const first = await provider.open('dp0', true);
  await first.portAdd('v1', 'system', undefined);
  const seen: string[] = [];
  await first.setUpcallHandler(() => void seen.push('first'));
  const frame = new Uint8Array(60);
  host.device('v1').receive(frame);
  await waitFor(() => expect(seen).toEqual(['first']));
  // As after kill -9: the first never says goodbye.
  const second = await provider.open('dp0', false);
  await second.setUpcallHandler(() => void seen.push('second'));
  host.device('v1').receive(frame);
  await waitFor(() => expect(seen).toEqual(['first', 'second']));
  first.close();
  second.close();
  provider.close();
  host.close();
});
