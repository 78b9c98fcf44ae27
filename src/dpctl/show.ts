/**
 * Commands that make, delete, list and show datapaths: add-dp, del-dp, dump-dps, show.
 * Source: lib/dpctl.c (dpctl_add_dp(), dpctl_del_dp(), show_dpif()).
 */

import type { Dpif } from '../dpif/dpif.ts';
import { dpifFullName } from '../dpif/dpif-name.ts';
import type { DpifDpStats, DpifPort } from '../dpif/dpif-types.ts';
import { tunnelType } from '../dpif/tunnel-types.ts';
import { fixed } from '../util/fixed.ts';
import { formatCaches } from './caches.ts';
import { attempt, type DpctlContext, print, printError } from './dpctl-context.ts';
import { forEachDp, openDpif, withDpif } from './dpctl-open.ts';
import { NO_COUNTERS } from './netdevs.ts';
import { addIf } from './ports.ts';
import { optionsOfDevice } from './tunnel-options.ts';

/** add-dp DP [IFACE...] */
export async function addDp(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  const [dp = '', ...ifaces] = args;
  const dpif = await openDpif(ctx, dp, true);
  if (!dpif.ok) {
    printError(ctx, dpif.errno, 'add_dp');
    return dpif.errno;
  }
  dpif.value.close();
  return ifaces.length > 0 ? addIf(ctx, args) : 0;
}

/** del-dp DP */
export async function delDp(ctx: DpctlContext, [dp = '']: readonly string[]): Promise<number> {
  const dpif = await openDpif(ctx, dp);
  if (!dpif.ok) {
    printError(ctx, dpif.errno, 'opening datapath');
    return dpif.errno;
  }
  return withDpif(dpif.value, async (d) => {
    const { errno } = await attempt(d.destroy());
    if (errno !== 0) printError(ctx, errno, 'del_dp');
    return errno;
  });
}

/** dump-dps */
export const dumpDps = (ctx: DpctlContext): Promise<number> =>
  forEachDp(ctx, async (dpif) => print(ctx, `${dpifFullName(dpif)}\n`));

/** show [DP...] */
export async function show(ctx: DpctlContext, args: readonly string[]): Promise<number> {
  if (args.length === 0) return forEachDp(ctx, (dpif) => showDpif(ctx, dpif));
  let lastError = 0;
  for (const name of args) {
    const dpif = await openDpif(ctx, name);
    if (dpif.ok) {
      await withDpif(dpif.value, (d) => showDpif(ctx, d));
    } else {
      printError(ctx, dpif.errno, `opening datapath ${name} failed`);
      lastError = dpif.errno;
    }
  }
  return lastError;
}

async function showDpif(ctx: DpctlContext, dpif: Dpif): Promise<void> {
  print(ctx, `${dpifFullName(dpif)}:\n`);
  const stats = await attempt(dpif.stats());
  if (stats.ok) print(ctx, formatDpStats(stats.value) + formatCaches(stats.value));
  const ports = await attempt(dpif.portDump());
  for (const port of ports.ok ? ports.value : []) {
    print(ctx, `  port ${port.portNo}: ${port.name}${describeType(port)}\n`);
    if (ctx.options.statistics) await showPortStats(ctx, dpif, port);
  }
}

/** " (vxlan: dst_port=4790, packet_type=ptap)"; nothing for a device of the machine. */
function describeType({ name, type }: DpifPort): string {
  if (type === 'system') return '';
  const tunnel = tunnelType(type);
  const options = tunnel === undefined ? [] : [...optionsOfDevice(tunnel, name)].map(([k, v]) => `${k}=${v}`);
  return ` (${type}${options.length === 0 ? '' : `: ${options.join(', ')}`})`;
}

function formatDpStats(s: DpifDpStats): string {
  let text = `  lookups: hit:${s.nHit} missed:${s.nMissed} lost:${s.nLost}\n  flows: ${s.nFlows}\n`;
  if (s.nMasks === undefined || s.nMaskHit === undefined) return text;
  const nPackets = s.nHit + s.nMissed;
  const each = (n: bigint) => (nPackets === 0n ? 0 : Number(n) / Number(nPackets));
  text += `  masks: hit:${s.nMaskHit} total:${s.nMasks} hit/pkt:${fixed(each(s.nMaskHit), 2)}\n`;
  if (s.nCacheHit !== undefined) {
    text += `  cache: hit:${s.nCacheHit} hit-rate:${fixed(100 * each(s.nCacheHit), 2)}%\n`;
  }
  return text;
}

async function showPortStats(ctx: DpctlContext, dpif: Dpif, port: DpifPort): Promise<void> {
  const stats = await attempt(dpif.portStats(port.portNo));
  if (!stats.ok) return;
  const s = stats.value;
  // The datapath's own devices have only what the datapath counts, and a tunnel not even all of that.
  const own = port.type === 'system' ? await attempt(ctx.netdevs.counters(port.name)) : undefined;
  const c = (own?.ok ? own.value : undefined) ?? NO_COUNTERS;
  const text = tunnelType(port.type) === undefined ? (n: bigint) => `${n}` : () => '?';
  print(
    ctx,
    `    RX packets:${s.rxPackets} errors:${text(s.rxErrors)} dropped:${text(s.rxDropped)} ` +
      `overruns:${text(c.rxOverErrors)} frame:${text(c.rxFrameErrors)}\n` +
      `    TX packets:${s.txPackets} errors:${text(s.txErrors)} dropped:${text(s.txDropped)} ` +
      `aborted:${text(c.txAbortedErrors)} carrier:${text(c.txCarrierErrors)}\n` +
      `    collisions:${text(c.collisions)}\n` +
      `    RX bytes:${s.rxBytes}${humanSize(s.rxBytes)}  TX bytes:${s.txBytes}${humanSize(s.txBytes)}\n`,
  );
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

/** " (1.5 KiB)" for 1536; nothing below 1024. */
export function humanSize(bytes: bigint): string {
  let value = Number(bytes);
  let unit = -1;
  while (value >= 1024 && unit + 1 < UNITS.length) {
    value /= 1024;
    unit++;
  }
  return unit < 0 ? '' : ` (${fixed(value, 1)} ${UNITS[unit]})`;
}
