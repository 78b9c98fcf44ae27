/**
 * What a translation touched besides its actions: rules to credit, addresses to learn.  A flow in the datapath keeps one, so
 * that its packets are accounted for without translating again.  Valid as long as the flow need not be revalidated.
 * Source: ofproto/ofproto-dpif-xlate-cache.h.
 */
import type { Bundle } from './bundle.ts';
import type { Group, GroupBucket } from './groups/group.ts';
import type { Rule } from './tables/rule.ts';
import type { PushStats, XBridge } from './xbridge.ts';

type Entry =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'group'; readonly group: Group; readonly bucket: GroupBucket | undefined }
  | {
      readonly kind: 'learn';
      readonly bridge: XBridge;
      readonly ofpInPort: number;
      readonly mac: number;
      readonly vlan: number;
    };

export class XlateCache {
  private entries: Entry[] = [];

  get size(): number {
    return this.entries.length;
  }
  clear(): void {
    this.entries = [];
  }
  addRule(rule: Rule): void {
    this.entries.push({ kind: 'rule', rule });
  }
  /** A bucket of a group that packets go through; undefined: all. */
  addGroup(group: Group, bucket: GroupBucket | undefined): void {
    this.entries.push({ kind: 'group', group, bucket });
  }
  addLearn(bridge: XBridge, ofpInPort: number, mac: number, vlan: number): void {
    this.entries.push({ kind: 'learn', bridge, ofpInPort, mac, vlan });
  }

  /** Does again, for `stats` more packets, what the translation did. */
  push(stats: PushStats): void {
    if (stats.nPackets === 0n) return;
    for (const e of this.entries) {
      if (e.kind === 'rule') {
        e.rule.credit(stats.nPackets, stats.nBytes, stats.usedMs);
      } else if (e.kind === 'group') {
        e.group.credit(e.bucket, stats.nPackets, stats.nBytes);
      } else {
        // The port may have changed its bundle, or be gone, since.
        const bundle: Bundle | undefined = e.bridge.xport(e.ofpInPort)?.bundle;
        if (bundle !== undefined) e.bridge.learn(e.mac, e.vlan, bundle);
      }
    }
  }
}
