/**
 * The tunnel ports of a datapath's switches: which of them a packet came in by.  The datapath has one port for all tunnels of a type and UDP
 * port; which OpenFlow port a packet belongs to, its tunnel metadata tells.
 *
 * Ports differ in what they ask for: a key or any (key=flow), a remote end or any, a local end, none in particular, or any (local_ip=flow).
 * That makes 12 classes.  The more particular one is looked in first: the key decides before the remote end, that before the local end.
 *
 *     class = 6 * (any key) + 3 * (any remote) + (local: 0 this one, 1 none in particular, 2 any)
 *
 * Source: ofproto/tunnel.c (tnl_find, tnl_match_map).
 */

import type { Told, TunnelAddress, TunnelPacketType, TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField, setField } from '../../flow/flow-key.ts';

const N_CLASSES = 12;
const [LOCAL_THIS, LOCAL_NONE, LOCAL_ANY] = [0, 1, 2] as const;

/** A port as the table knows it. */
export interface TunnelEnd {
  readonly name: string;
  readonly tunnel: TunnelSettings;
  /** The datapath's port for tunnels of its kind. */
  readonly odpPort: number;
}

const { tunDst, tunSrc, tunIpv6Dst, tunIpv6Src, tunId } = FIELD;

const hex = (word: number | undefined): string => ((word ?? 0) >>> 0).toString(16);
const wordsText = (words: ArrayLike<number>, at: number): string =>
  `${hex(words[at])}:${hex(words[at + 1])}:${hex(words[at + 2])}:${hex(words[at + 3])}`;

/** An address in a flow: '' if it is all zeros. */
function flowAddress(flow: FlowKey, v4: typeof tunDst, v6: typeof tunIpv6Dst): string {
  if (flow[v4.word] !== 0) return hex(flow[v4.word]);
  const w = v6.word;
  const isZero =
    ((flow[w] as number) | (flow[w + 1] as number) | (flow[w + 2] as number) | (flow[w + 3] as number)) === 0;
  return isZero ? '' : wordsText(flow, w);
}

/** The destination in the tunnel metadata of `flow`; '' if it has none, and so is no tunnel's. */
export const tunnelDstOf = (flow: FlowKey): string => flowAddress(flow, tunDst, tunIpv6Dst);

/** Whether `flow` is that of a packet that came out of a tunnel. */
export const isFromTunnel = (flow: FlowKey): boolean =>
  getField(flow, FIELD.tunPresent) !== 0 && tunnelDstOf(flow) !== '';

/** Says in `flow` that there is a tunnel, where only its addresses do: in flows that were no datapath's. */
export function markTunnel(flow: FlowKey): void {
  if (tunnelDstOf(flow) !== '') setField(flow, FIELD.tunPresent, flow[tunDst.word] !== 0 ? 4 : 6);
}

/** The same text for an address in settings. */
function addressText(told: Told<TunnelAddress>): string {
  if (told === undefined || told === 'flow') return '';
  const dv = new DataView(told.buffer, told.byteOffset, told.length);
  if (told.length === 4) return hex(dv.getUint32(0));
  return wordsText(
    [0, 4, 8, 12].map((at) => dv.getUint32(at)),
    0,
  );
}

const matchText = (odpPort: number, key: string, remote: string, local: string, packetType: TunnelPacketType): string =>
  `${odpPort} ${key} ${remote} ${local} ${packetType}`;

function classOf({ inKey, remote, local }: TunnelSettings): number {
  const ofLocal = local === 'flow' ? LOCAL_ANY : local === undefined ? LOCAL_NONE : LOCAL_THIS;
  return 6 * Number(inKey === 'flow') + 3 * Number(remote === 'flow') + ofLocal;
}

function textOf({ tunnel, odpPort }: TunnelEnd): string {
  const { inKey, remote, local, packetType } = tunnel;
  // No key is key 0.
  const key = inKey === 'flow' ? '' : (inKey ?? 0n).toString(16);
  return matchText(odpPort, key, addressText(remote), addressText(local), packetType);
}

export class TunnelTable<Port extends TunnelEnd> {
  private readonly classes: readonly Map<string, Port>[] = Array.from({ length: N_CLASSES }, () => new Map());
  private readonly places = new Map<Port, { readonly ofClass: Map<string, Port>; readonly text: string }>();

  /** Adds `port`, or moves it to where its settings of now belong.  Gives the port that is there already, and leaves it, if there is one. */
  put(port: Port): Port | undefined {
    this.remove(port);
    const ofClass = this.classes[classOf(port.tunnel)] as Map<string, Port>;
    const text = textOf(port);
    const there = ofClass.get(text);
    if (there !== undefined) return there;
    ofClass.set(text, port);
    this.places.set(port, { ofClass, text });
    return undefined;
  }

  remove(port: Port): void {
    const place = this.places.get(port);
    if (place === undefined) return;
    this.places.delete(port);
    place.ofClass.delete(place.text);
  }

  /** In the order in which they are looked in. */
  *[Symbol.iterator](): IterableIterator<Port> {
    for (const ofClass of this.classes) yield* ofClass.values();
  }

  /** The port that a packet with the datapath's key `flow` came in by. */
  find(flow: FlowKey): Port | undefined {
    if (this.places.size === 0) return undefined;
    const odpPort = getField(flow, FIELD.inPort);
    const key = ((BigInt(getHigh(flow)) << 32n) | BigInt(getLow(flow))).toString(16);
    const from = flowAddress(flow, tunSrc, tunIpv6Src);
    const to = tunnelDstOf(flow);
    const plain = getField(flow, FIELD.packetType) === 0 ? 'legacy_l2' : 'legacy_l3';
    for (const [i, ofClass] of this.classes.entries()) {
      if (ofClass.size === 0) continue;
      const wantedKey = i >= 6 ? '' : key;
      const remote = i % 6 >= 3 ? '' : from;
      const local = i % 3 === LOCAL_THIS ? to : '';
      const port =
        ofClass.get(matchText(odpPort, wantedKey, remote, local, plain)) ??
        ofClass.get(matchText(odpPort, wantedKey, remote, local, 'ptap'));
      if (port !== undefined) return port;
    }
    return undefined;
  }
}

const getHigh = (flow: FlowKey): number => (flow[tunId.word] as number) >>> 0;
const getLow = (flow: FlowKey): number => (flow[tunId.word + 1] as number) >>> 0;
