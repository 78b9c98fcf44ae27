/**
 * Tells the datapath where to send upcalls: to the port ids of its CPUs (one for all of them here, since there is one
 * handler), or, where the datapath cannot do that, to the port id of each port.
 * Source: lib/dpif-netlink.c (dpif_netlink_set_handler_pids(), dpif_netlink_refresh_handlers_vport_dispatch()).
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_DP_F } from '../netlink/families/ovs-datapath.ts';
import { OVS_VPORT_CMD } from '../netlink/families/ovs-vport.ts';
import { subscribe } from '../netlink/genl-notify.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import { dpQuery, isPerCpu } from './dp-open.ts';
import type { OvsFamilies } from './ovs-families.ts';
import { decodeVport, dumpVports, vportQuery } from './vport-ops.ts';

const log = vlog('dpif_netlink');

/** The datapath, as far as this file needs it. */
export interface DispatchTarget {
  readonly fam: OvsFamilies;
  readonly dpIfindex: number;
  readonly name: string;
  readonly userFeatures: number;
}

/** Entries that OVS_DP_ATTR_PER_CPU_PIDS needs: CPU ids may have holes, and more CPUs may come. */
function cpuCount(): number {
  let highest = 0;
  try {
    const ranges = readFileSync('/sys/devices/system/cpu/possible', 'utf8').match(/\d+/g) ?? [];
    highest = Math.max(...ranges.map(Number), 0);
  } catch {
    // Without sysfs the CPUs that are online have to do.
  }
  return Math.max(cpus().length, highest + 1);
}

/** Sends upcalls of every CPU to `pid`; 0 loses them. */
export async function dispatchPerCpu(
  { fam, dpIfindex, name, userFeatures }: DispatchTarget,
  pid: number,
): Promise<void> {
  const n = cpuCount();
  log.dbg(() => `Dispatch mode(per-cpu): Setting up handler PIDs for ${n} cores`);
  const reply = await dpQuery(fam, 'SET', dpIfindex, {
    name,
    userFeatures: (userFeatures | OVS_DP_F.bit.dispatchUpcallPerCpu) >>> 0,
    perCpuPids: new Array<number>(n).fill(pid),
  });
  if (!isPerCpu(reply.userFeatures)) throw new NetlinkError(ERRNO.EOPNOTSUPP, `${name}: upcalls by CPU`);
}

/** Sends upcalls of every port to `pid`; 0 loses them. */
export async function dispatchPerVport({ fam, dpIfindex }: DispatchTarget, pid: number): Promise<void> {
  for (const { portNo } of await dumpVports(fam, dpIfindex)) await setVportPid(fam, dpIfindex, portNo, pid);
}

/** As {@link dispatchPerVport} for ports that come later, by whoever adds them, until the returned function is called. */
export function followVports({ fam, dpIfindex }: DispatchTarget, pid: number): () => void {
  const all = () => {
    dispatchPerVport({ fam, dpIfindex, name: '', userFeatures: 0 }, pid).catch(report);
  };
  return subscribe(
    fam.endpoint,
    fam.vportGroup,
    (msg) => {
      if (msg.type !== fam.vport || !msg.hasOvsHeader || msg.dpIfindex !== dpIfindex || msg.cmd !== OVS_VPORT_CMD.NEW)
        return;
      try {
        const v = decodeVport(msg);
        if (v.upcallPid?.[0] !== pid) setVportPid(fam, dpIfindex, v.portNo, pid).catch(report);
      } catch (e) {
        report(e);
      }
    },
    all,
  );
}

async function setVportPid(fam: OvsFamilies, dpIfindex: number, portNo: number, pid: number): Promise<void> {
  try {
    await vportQuery(fam, 'SET', dpIfindex, { portNo, upcallPid: [pid] });
  } catch (e) {
    // The port may have gone meanwhile.
    if (!(e instanceof NetlinkError) || e.errno !== ERRNO.ENODEV) throw e;
  }
}

const report = (e: unknown) =>
  log.warn(`could not add channel for a port: ${e instanceof Error ? e.message : String(e)}`);
