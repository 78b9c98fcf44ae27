/** The negotiation of features with datapaths that can do less than ours: a fake peer stands in for them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { DATAPATH_PORT_ID, LITTLE_ENDIAN, NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from '../../src/netlink/families/nlctrl.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD, OVS_VPORT_TYPE } from '../../src/netlink/families/ovs-vport.ts';
import { forEachMessage, type MessageView, MessageWriter } from '../../src/netlink/message.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../src/netlink/transport.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { waitFor } from '../support/wait-for.ts';

const FAMILIES = ['ovs_datapath', 'ovs_vport', 'ovs_flow', 'ovs_packet'];
const FAMILY_ID = 40;
const GROUP = 5;

/** A datapath "dp0" at ifindex 3 that has the features of `supported`, and refuses others if it checks them. */
class OldDatapath {
  readonly net = new MemoryNetlink();
  readonly requests: string[] = [];
  readonly pids = new Map<number, number>([
    [0, 0],
    [1, 0],
  ]);
  features = 0;
  private readonly transport: NetlinkTransport;
  private readonly supported: number;
  private readonly checks: boolean;

  constructor(supported: number, checks: boolean) {
    this.supported = supported;
    this.checks = checks;
    this.transport = this.net.open(DATAPATH_PORT_ID);
    this.transport.receive({
      datagram: (_b, dv, offset, size, from) => forEachMessage(dv, offset, offset + size, (m) => this.take(m, from)),
    });
  }

  send(to: number, write: (w: MessageWriter) => void): void {
    const w = new MessageWriter();
    write(w);
    this.transport.send(w.bytes, 0, w.size, to);
  }

  private take(m: MessageView, from: number): void {
    if (m.type === GENL_ID_CTRL) {
      const { familyName = '' } = m.readGenl(CTRL_ATTR);
      this.send(from, (w) => {
        const at = w.begin(GENL_ID_CTRL, 0, m.seq, from);
        w.genl(CTRL_CMD.NEWFAMILY, 2);
        const familyId = FAMILY_ID + FAMILIES.indexOf(familyName);
        w.attrs(CTRL_ATTR, { familyName, familyId, version: 1, mcastGroups: [{ name: familyName, id: GROUP }] });
        w.end(at);
      });
    } else if (m.type === FAMILY_ID) {
      this.datapath(m, from);
    } else if (m.type === FAMILY_ID + 1) {
      this.vport(m, from);
    }
  }

  private datapath(m: MessageView, from: number): void {
    const { userFeatures = 0 } = m.readOvs(OVS_DP_ATTR);
    const cmd = Object.entries(OVS_DP_CMD).find(([, n]) => n === m.cmd)?.[0];
    this.requests.push(`${cmd} 0x${userFeatures.toString(16)}`);
    if (m.cmd !== OVS_DP_CMD.GET) {
      if (this.checks && (userFeatures & ~this.supported) !== 0) {
        this.error(m, from, ERRNO.EOPNOTSUPP);
        return;
      }
      this.features = (userFeatures & this.supported) >>> 0;
    }
    this.send(from, (w) => {
      const at = w.beginOvs(m.type, 0, m.seq, from, m.cmd, 2, 3);
      w.attrs(OVS_DP_ATTR, { name: 'dp0', userFeatures: this.features });
      w.end(at);
    });
  }

  private vport(m: MessageView, from: number): void {
    const a = m.readOvs(OVS_VPORT_ATTR);
    const isDump = (m.flags & NLM_F.DUMP) === NLM_F.DUMP;
    const ports = isDump ? [...this.pids.keys()] : [a.portNo ?? 0];
    if (m.cmd === OVS_VPORT_CMD.SET) this.pids.set(a.portNo ?? 0, a.upcallPid?.[0] ?? 0);
    if (m.cmd === OVS_VPORT_CMD.NEW) this.pids.set(a.portNo ?? 9, a.upcallPid?.[0] ?? 0);
    for (const portNo of ports) this.send(from, (w) => this.port(w, m, from, portNo));
    if (isDump) {
      this.send(from, (w) => {
        const at = w.begin(NLMSG.DONE, NLM_F.MULTI, m.seq, from);
        w.attrHeader(0, 0);
        w.end(at);
      });
    }
  }

  private port(w: MessageWriter, m: { type: number; seq: number }, pid: number, portNo: number): void {
    const at = w.beginOvs(m.type, 0, m.seq, pid, OVS_VPORT_CMD.NEW, 1, 3);
    const upcallPid = [this.pids.get(portNo) ?? 0];
    w.attrs(OVS_VPORT_ATTR, { portNo, type: OVS_VPORT_TYPE.NETDEV, name: `p${portNo}`, upcallPid });
    w.end(at);
  }

  /** Somebody else adds a port without a port id. */
  addForeignPort(portNo: number): void {
    this.pids.set(portNo, 0);
    const w = new MessageWriter();
    this.port(w, { type: FAMILY_ID + 1, seq: 0 }, 0, portNo);
    this.transport.multicast(w.bytes, 0, w.size, GROUP);
  }

  private error(m: MessageView, from: number, errno: number): void {
    this.send(from, (w) => {
      const at = w.begin(NLMSG.ERROR, 0, m.seq, from);
      w.reserve(20);
      w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
      w.size += 20;
      w.end(at);
    });
  }
}

const [UNALIGNED, VPORT_PIDS, PER_CPU] = [1, 2, 8];
const lines: string[] = [];
beforeEach(() => {
  lines.length = 0;
  setConsole((l) => lines.push(l.split('|').slice(2).join('|').trimEnd()));
});
afterEach(() => setConsole(undefined));

const providerOf = (dp: OldDatapath) =>
  new DpifNetlinkProvider(async () => ({ open: () => dp.net.open(), peer: DATAPATH_PORT_ID }));

test('making a datapath asks for features step by step', async () => {
  const dp = new OldDatapath(UNALIGNED | VPORT_PIDS | PER_CPU, true);
  const provider = providerOf(dp);
  const dpif = await provider.open('dp0', true);
  expect(dp.requests).toEqual(['NEW 0x80000003', 'NEW 0x9', 'SET 0xd']);
  expect(lines).toEqual(['dpif_netlink|INFO|Datapath dispatch mode: per-cpu']);
  expect(dpif.upcallPid?.(1)).toBe(0xffffffff);
  dpif.close();
  provider.close();
});

test('opening one keeps its features, and logs nothing', async () => {
  const dp = new OldDatapath(UNALIGNED | VPORT_PIDS | PER_CPU, true);
  dp.features = UNALIGNED | PER_CPU;
  const provider = providerOf(dp);
  (await provider.open('dp0', false)).close();
  expect(dp.requests).toEqual(['GET 0x0', 'SET 0x8000000b', 'SET 0x9', 'SET 0xd']);
  expect(lines).toEqual([]);
  provider.close();
});

test('a datapath that checks no features gets the oldest ones', async () => {
  const dp = new OldDatapath(UNALIGNED | VPORT_PIDS, false);
  const provider = providerOf(dp);
  (await provider.open('dp0', true)).close();
  expect(dp.requests).toEqual(['NEW 0x80000003', 'SET 0x3']);
  expect(lines).toEqual([
    'dpif_netlink|INFO|Kernel does not correctly support feature negotiation. Using standard features.',
    'dpif_netlink|INFO|Datapath dispatch mode: per-vport',
  ]);
  provider.close();
});

test('without dispatch by CPU every port gets the port id, also those that come later', async () => {
  const dp = new OldDatapath(UNALIGNED | VPORT_PIDS, true);
  const provider = providerOf(dp);
  const dpif = await provider.open('dp0', true);
  expect(dp.requests).toEqual(['NEW 0x80000003', 'NEW 0x9', 'NEW 0x3', 'SET 0x7']);
  await dpif.setUpcallHandler(() => {});
  const pid = dpif.upcallPid?.(1) ?? 0;
  expect(pid).not.toBe(0);
  expect([...dp.pids.values()]).toEqual([pid, pid]);
  await dpif.portAdd('p5', 'system', 5);
  expect(dp.pids.get(5)).toBe(pid);
  dp.addForeignPort(6);
  await waitFor(() => expect(dp.pids.get(6)).toBe(pid));
  await dpif.setUpcallHandler(null);
  expect(new Set(dp.pids.values())).toEqual(new Set([0]));
  dpif.close();
  provider.close();
});
