/**
 * A client that does not read for a while loses upcalls and notifications.  It must hear of that (ENOBUFS), say so, and go on:
 * stock ovs-vswitchd through the preload library, and ours.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Daemon, eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatabase, startDatapath, startVswitchd, vsctl } from '../support/switch.ts';

/** Frames that no flow matches, each from an address of its own. */
const FLOOD = `
import socket, struct, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    s.send(bytes.fromhex('020000000001') + b'\\x06\\0' + struct.pack('>I', i) + bytes.fromhex('88b5') + bytes(46))
    if i % 50 == 0: time.sleep(0.001)
`;

async function startStock(ns: Namespace): Promise<Daemon> {
  const pidfile = join(ns.lab.dir, 'ovs-vswitchd.pid');
  const daemon = ns.daemon('stock-vswitchd', [
    ...[TAPSWITCH, 'exec', '--', 'ovs-vswitchd', `unix:${ns.lab.dir}/db.sock`],
    ...[`--pidfile=${pidfile}`, '-vconsole:info', '-vsyslog:off'],
  ]);
  await daemon.until('takes commands', async () => {
    if (!existsSync(pidfile) || Number(readFileSync(pidfile, 'utf8')) !== daemon.pid) return false;
    return (await ns.run(['ovs-appctl', 'version'])).status === 0;
  });
  return daemon;
}

describe.each([
  { who: 'stock ovs-vswitchd', start: startStock },
  { who: 'our vswitchd', start: startVswitchd },
])('$who', ({ start }) => {
  let sw: Namespace;
  let a: Namespace;
  let vswitchd: Daemon;
  useLab(async (lab) => {
    sw = await lab.namespace('switch');
    a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
    await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
    await startDatapath(sw);
    await startDatabase(sw);
    vswitchd = await start(sw);
    await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
    await a.ping('10.9.0.2', 3);
  });

  const overflows = async () => {
    const { stdout } = await sw.run(['ovs-appctl', 'coverage/read-counter', 'netlink_overflow']);
    return Number(stdout);
  };
  const lost = async () => {
    const text = await sw.ok([TAPSWITCH, 'exec', '--', 'ovs-dpctl', 'show']);
    return Number(/lost:(\d+)/.exec(text)?.[1]);
  };

  const flood = (first: number, end: number) =>
    a.ok(['python3', '-c', FLOOD, 'eth0', `${first}`, `${end}`], { timeoutMs: 60_000 });

  test('loses upcalls while it is stopped, hears of it and goes on', async () => {
    const [overflowsBefore, lostBefore] = [await overflows(), await lost()];
    process.kill(vswitchd.pid, 'SIGSTOP');
    try {
      // More than any queue holds.
      await flood(0, 20_000);
      await eventually('upcalls are lost', async () => (await lost()) > lostBefore);
    } finally {
      process.kill(vswitchd.pid, 'SIGCONT');
    }
    // A thread of the stock vswitchd adds what it counted to the sum when it next wakes up, at most once a second.
    let first = 20_000;
    const counts = async () => {
      await flood(first++, first);
      return (await overflows()) > overflowsBefore;
    };
    await eventually('it counts that', counts);
    expect(vswitchd.output()).toMatch(
      /dpif_netlink(\(handler\d+\))?\|WARN\|system@ovs-system: lost packet on handler \d+/,
    );
    // What waits in the queue comes first.
    const isAnswered = async () => (await a.ping('10.9.0.2', 5)).received === 5;
    await eventually('every ping is answered', isAnswered);
  });
});

/** Joins the groups that a datapath can have, with the smallest queue there is; then runs its arguments, and reads. */
const LISTENER = `
import errno, socket, subprocess, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
s.bind((0, 0))
for group in range(20, 33): s.setsockopt(270, 1, group)
subprocess.run(sys.argv[1:], check=True)
for _ in range(3):
    try: print(len(s.recv(65536, socket.MSG_DONTWAIT)) > 0)
    except OSError as e: print(errno.errorcode[e.errno])
`;

describe('a listener without the preload library', () => {
  let sw: Namespace;
  useLab(async (lab) => {
    sw = await lab.namespace('switch');
    await startDatapath(sw);
    await sw.ok([TAPSWITCH, 'dpctl', 'add-dp', 'dp0']);
  });
  test('gets ENOBUFS for notifications that were lost', async () => {
    const ports = Array.from({ length: 12 }, (_, i) => `i${i},type=internal`);
    const text = await sw.ok(['python3', '-c', LISTENER, TAPSWITCH, 'dpctl', 'add-if', 'dp0', ...ports]);
    expect(text.split('\n').slice(0, 2)).toEqual(['ENOBUFS', 'True']);
  });
});
