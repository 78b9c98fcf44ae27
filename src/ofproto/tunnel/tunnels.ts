/**
 * The tunnels of one datapath: its ports for them (tunnel-devices.ts), and which switch's port a packet belongs to (tunnel-table.ts).
 * `backer.ts` owns it; a switch tells it of its tunnel ports.  Source: ofproto/tunnel.c, ofproto/ofproto-dpif.c (port_construct).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { formatFlow } from '../../openflow/match/flow-format.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { XBridge } from '../xlate/xbridge.ts';
import { TunnelDevices } from './tunnel-devices.ts';
import { type TunnelEnd, TunnelTable } from './tunnel-table.ts';
import { formatTunnel, formatTunnelMatch } from './tunnel-text.ts';

const log = vlog('tunnel');
const limit = new RateLimit(1, 5);

/** A switch's port that is a tunnel. */
export interface TunnelPort {
  readonly name: string;
  readonly ofport: number;
  readonly odpPort: number;
}

interface Entry extends TunnelEnd {
  readonly bridge: XBridge;
  readonly ofport: number;
}

export class Tunnels {
  /** The datapath's ports. */
  readonly devices: TunnelDevices;
  private readonly table = new TunnelTable<Entry>();
  private readonly entries = new Map<TunnelPort, Entry>();

  constructor(dpif: Pick<Dpif, 'portAdd' | 'portQuery'>) {
    this.devices = new TunnelDevices(dpif);
  }

  /**
   * Packets that `settings` match are from now on those of `port`, and no longer those that other settings of it matched.  Throws an Error
   * with `errno` EEXIST if there is another port of such settings.
   */
  put(bridge: XBridge, port: TunnelPort, settings: TunnelSettings): void {
    this.remove(port);
    const { name, ofport, odpPort } = port;
    const entry: Entry = { bridge, name, ofport, odpPort, tunnel: settings };
    const other = this.table.put(entry);
    if (other !== undefined) {
      const match = formatTunnelMatch(entry);
      log.warn(`${name}: attempting to add tunnel port with same config as port '${other.name}' (${match})`);
      throw Object.assign(new Error(errnoText(ERRNO.EEXIST)), { errno: ERRNO.EEXIST });
    }
    log.dbg(() => `adding tunnel port ${name} (${formatTunnelMatch(entry)})`);
    this.entries.set(port, entry);
  }

  remove(port: TunnelPort): void {
    const entry = this.entries.get(port);
    if (entry === undefined) return;
    log.dbg(() => `removing tunnel port ${entry.name} (${formatTunnelMatch(entry)})`);
    this.entries.delete(port);
    this.table.remove(entry);
  }

  /** Where a packet with the datapath's key `flow`, which came out of a tunnel, came in. */
  find(flow: FlowKey): { readonly bridge: XBridge; readonly ofport: number } | undefined {
    const entry = this.table.find(flow);
    if (entry === undefined) log.warn(() => `receive tunnel port not found (${formatFlow(flow, {})})`, limit);
    return entry;
  }

  /** Text of `ofproto/list-tunnels`. */
  list(): string {
    return [...this.table].map(formatTunnel).join('');
  }
}
