/** What a switch (ofproto.ts) needs of the datapath that it shares with others; backer.ts is it. */
import type { Dpif } from '../../dpif/dpif.ts';
import type { DpifOp, DpifPortStats } from '../../dpif/dpif-types.ts';
import type { MeterIds } from '../meters/meter-ids.ts';
import type { XPort } from '../ports/bundle.ts';
import type { Tunnels } from '../tunnel/tunnels.ts';
import type { XBridge } from '../xlate/xbridge.ts';
import type { DpSupport } from './dp-support.ts';

/** What a switch needs of the datapath that it shares. */
export interface SwitchBacker {
  readonly dpif?: Dpif;
  /** What translation may make use of; what openvswitch.ko can, if undefined. */
  readonly support?: DpSupport;
  /** The datapath's meters. */
  readonly meterIds: MeterIds;
  readonly tunnels: Tunnels;
  /** Has all flows checked again. */
  revalidate(): void;
  /** Puts device `name` into the datapath, or finds it there; resolves to its number. */
  attach(name: string, type: string): Promise<number>;
  detach(odpPort: number): Promise<void>;
  portStats(odpPort: number): Promise<DpifPortStats>;
  /** The switch of that id. */
  byUuid(uuid: Uint8Array): XBridge | undefined;
  /** The patch port `name` of any switch whose peer is `peer`. */
  patchPort(name: string, peer: string): { readonly bridge: XBridge; readonly port: XPort } | undefined;
  /** Has the datapath carry out operations, as Dpif.operate. */
  operate(ops: DpifOp[]): Promise<void>;
  upcallPid(odpPort: number | undefined): number;
  /** The timeout policy of a zone of the connection tracker. */
  ctPolicyName?(zone: number, isIpv4: boolean, proto: number): string | undefined;
  /** The switch's ports or bundles changed; `gone` if the switch itself did. */
  changed(ofproto: XBridge, gone: boolean): void;
  /** A switch has no port of this name any more. */
  portGone?(name: string): void;
  /** Has all switches forget where `mac` is in `vlan`. */
  forgetMac?(mac: number, vlan: number): void;
  /** Soon after this the MAC table's changes have flows revalidated. */
  macsChanged(): void;
}
