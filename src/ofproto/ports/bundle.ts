/**
 * Bundles: a database Port, one or more interfaces that forward as one, with its VLAN settings.  NORMAL forwards between
 * bundles; what a VLAN header means on the way in and out of each is decided here.
 *
 *     mode             comes in untagged   comes in tagged         goes out
 *     access           VLAN `tag`          dropped (VID 0 is not)  untagged, VLAN `tag` only
 *     trunk            VLAN 0              that VLAN, if trunked   as it is
 *     native-tagged    VLAN `tag`          that VLAN, if trunked   tagged
 *     native-untagged  VLAN `tag`          that VLAN, if trunked   tagged, but VLAN `tag` untagged
 *     dot1q-tunnel     VLAN `tag` around what came in              without the outer tag, VLAN `tag` only
 *
 * Source: ovs-vswitchd.conf.db(5) Port vlan_mode, ofproto/ofproto-dpif-xlate.c.
 */
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { OFPPC } from '../../openflow/ofp-port.ts';
import type { BundleConfig, Ofport, PriorityTags, VlanMode } from '../ofproto-provider.ts';
import { VLAN_WORDS } from '../xlate/wildcards.ts';

/** What a port without a device of its own has counted. */
export interface PatchCounts {
  rxPackets: bigint;
  rxBytes: bigint;
  txPackets: bigint;
  txBytes: bigint;
}

/** The number of ports that the datapath does not know: those of type "patch". */
export const ODPP_NONE = 0xffffffff;

/** A port as translation sees it. */
export interface XPort extends Ofport {
  /** Of patch ports and tunnels. */
  readonly counts?: PatchCounts | undefined;
  /** Of a tunnel port: what its packets are told by, and sent with. */
  readonly tunnel?: TunnelSettings | undefined;
  /** OFPPC_* bits. */
  readonly config: number;
  /** False: its device is down, or has no link. */
  readonly isUp?: boolean;
  /** What packets of its queues have in their TOS field, by skb_priority. */
  readonly queueDscps?: ReadonlyMap<number, number> | undefined;
  /** The bundle that it is in, if any. */
  bundle: Bundle | undefined;
}

const TPID_8021Q = 0x8100;
const TPID_8021AD = 0x88a8;
const VID_MASK = 0xfff;
const PCP_MASK = 0xe000;

/**
 * The VLAN headers of a packet, outer one first, apart from the key: a VID and priority bits may stand here without a
 * tag in the packet.  Mutable and reused: translation allocates none.
 */
export interface Xvlan {
  tpid0: number;
  vid0: number;
  pcp0: number;
  tpid1: number;
  vid1: number;
  pcp1: number;
}
export const newXvlan = (): Xvlan => ({ tpid0: 0, vid0: 0, pcp0: 0, tpid1: 0, vid1: 0, pcp1: 0 });

function copy(to: Xvlan, from: Xvlan): void {
  to.tpid0 = from.tpid0;
  to.vid0 = from.vid0;
  to.pcp0 = from.pcp0;
  to.tpid1 = from.tpid1;
  to.vid1 = from.vid1;
  to.pcp1 = from.pcp1;
}

function setOuter(x: Xvlan, tpid: number, vid: number, pcp: number): void {
  x.tpid0 = tpid;
  x.vid0 = vid;
  x.pcp0 = pcp;
}

function setInner(x: Xvlan, tpid: number, vid: number, pcp: number): void {
  x.tpid1 = tpid;
  x.vid1 = vid;
  x.pcp1 = pcp;
}

/** Removes the outer header. */
function pop(x: Xvlan): void {
  setOuter(x, x.tpid1, x.vid1, x.pcp1);
  setInner(x, 0, 0, 0);
}

/** Reads the headers of `key` into `x`. */
export function xvlanExtract(key: FlowKey, x: Xvlan): void {
  const outer = key[VLAN_WORDS[0]] as number;
  const inner = key[VLAN_WORDS[1]] as number;
  setOuter(x, 0, 0, 0);
  setInner(x, 0, 0, 0);
  if ((outer & VLAN_CFI) === 0) return;
  setOuter(x, outer >>> 16, outer & VID_MASK, outer & PCP_MASK);
  if ((inner & VLAN_CFI) !== 0) setInner(x, inner >>> 16, inner & VID_MASK, inner & PCP_MASK);
}

/** A header's word; 0, which is no header, if both VID and priority are 0 and it does not stay all the same. */
const headerWord = (tpid: number, vid: number, pcp: number, keeps: boolean): number =>
  (vid | pcp) === 0 && !(keeps && tpid !== 0) ? 0 : ((tpid === 0 ? TPID_8021Q : tpid) << 16) | pcp | VLAN_CFI | vid;

/** Makes the headers of `key` those of `x`.  `keepsTags`: a tag that says nothing stays, if there was one. */
export function xvlanPut(key: FlowKey, x: Xvlan, keepsTags: boolean): void {
  key[VLAN_WORDS[0]] = headerWord(x.tpid0, x.vid0, x.pcp0, keepsTags);
  key[VLAN_WORDS[1]] = headerWord(x.tpid1, x.vid1, x.pcp1, keepsTags);
}

export class Bundle {
  readonly name: string;
  /** Names of its interfaces as configured; `members` are those that exist. */
  memberNames: readonly string[] = [];
  members: XPort[] = [];
  vlanMode: VlanMode = 'trunk';
  vlan = 0;
  isProtected = false;
  priorityTags: PriorityTags = 'never';
  private qinqEthtype = TPID_8021AD;
  /** The customers' VLANs that a dot1q-tunnel port carries; undefined is all. */
  private cvlans: ReadonlySet<number> | undefined;
  /** VLANs that pass when tagged; undefined is all. */
  private trunks: ReadonlySet<number> | undefined;
  private settings = '';

  constructor(name: string) {
    this.name = name;
  }

  /** Takes over `config`, its members aside.  Returns whether that changed anything. */
  configure(config: BundleConfig): boolean {
    const tag = config.tag ?? 0;
    const vlan = config.vlanMode === 'trunk' || tag < 0 || tag > 4095 ? 0 : tag;
    let trunks: Set<number> | undefined;
    if (config.vlanMode !== 'access' && config.vlanMode !== 'dot1q-tunnel' && config.trunks.length > 0) {
      trunks = new Set(config.trunks);
    }
    if (config.vlanMode.startsWith('native') && vlan !== 0) {
      // The native VLAN is always carried, and then VLAN 0 is another name for it.
      trunks ??= new Set(Array.from({ length: 4096 }, (_, i) => i));
      trunks.add(vlan);
      trunks.delete(0);
    }
    const { cvlans = [], qinqEthtype = TPID_8021AD, priorityTags = 'never' } = config;
    const kinds = [config.vlanMode, config.isProtected, priorityTags, qinqEthtype];
    const settings = JSON.stringify([kinds, vlan, trunks && [...trunks].sort(), [...cvlans].sort()]);
    if (settings === this.settings) return false;
    this.settings = settings;
    this.vlanMode = config.vlanMode;
    this.vlan = vlan;
    this.isProtected = config.isProtected;
    this.trunks = trunks;
    this.priorityTags = priorityTags;
    this.qinqEthtype = qinqEthtype;
    this.cvlans = config.vlanMode === 'dot1q-tunnel' && cvlans.length > 0 ? new Set(cvlans) : undefined;
    return true;
  }

  /** The member that sends and receives for all of them: the first that is up. */
  get active(): XPort | undefined {
    for (const m of this.members) if ((m.config & OFPPC.PORT_DOWN) === 0) return m;
    return this.members[0];
  }

  /** Whether flooding reaches it. */
  get isFloodable(): boolean {
    for (const m of this.members) if ((m.config & OFPPC.NO_FLOOD) !== 0) return false;
    return true;
  }

  /** Whether customers' VLANs decide what it carries. */
  get asksForCvlan(): boolean {
    return this.cvlans !== undefined;
  }

  private trunksVlan(vid: number): boolean {
    return this.vlanMode !== 'access' && (this.trunks === undefined || this.trunks.has(vid));
  }

  /** Whether a packet may come in whatever its tag is. */
  get admitsAll(): boolean {
    return this.vlanMode === 'trunk' ? this.trunks === undefined : this.vlanMode === 'dot1q-tunnel' && !this.cvlans;
  }

  /** Whether a packet that comes in with tag `vid` (0: none) may. */
  admits(vid: number): boolean {
    switch (this.vlanMode) {
      case 'access':
        return vid === 0;
      case 'native-tagged':
      case 'native-untagged':
        return vid === 0 || this.trunksVlan(vid);
      case 'trunk':
        return this.trunksVlan(vid);
      case 'dot1q-tunnel':
        return this.cvlans?.has(vid) ?? true;
    }
  }

  /** Whether it carries packets that are in the VLANs of `x` inside the bridge. */
  includes(x: Xvlan): boolean {
    switch (this.vlanMode) {
      case 'access':
        return x.vid0 === this.vlan && x.vid1 === 0;
      case 'dot1q-tunnel':
        return x.vid0 === this.vlan && (this.cvlans?.has(x.vid1) ?? true);
      default:
        return this.trunksVlan(x.vid0);
    }
  }

  /** From the headers that a packet came in with to the VLANs that it is in inside the bridge. */
  translateIn(from: Xvlan, to: Xvlan): void {
    copy(to, from);
    switch (this.vlanMode) {
      case 'access':
        setOuter(to, from.tpid0 === 0 ? TPID_8021Q : from.tpid0, this.vlan, from.pcp0);
        setInner(to, 0, 0, 0);
        return;
      case 'native-tagged':
      case 'native-untagged':
        if (from.vid0 === 0) setOuter(to, from.tpid0 === 0 ? TPID_8021Q : from.tpid0, this.vlan, from.pcp0);
        return;
      case 'dot1q-tunnel':
        setInner(to, from.tpid0, from.vid0, from.pcp0);
        setOuter(to, this.qinqEthtype, this.vlan, 0);
        return;
      case 'trunk':
        return;
    }
  }

  /** From the VLANs that a packet is in inside the bridge to the headers that it goes out with. */
  translateOut(from: Xvlan, to: Xvlan): void {
    copy(to, from);
    switch (this.vlanMode) {
      case 'access':
        setOuter(to, 0, 0, 0);
        setInner(to, 0, 0, 0);
        return;
      case 'native-untagged':
        if (from.vid0 === this.vlan) pop(to);
        return;
      case 'dot1q-tunnel':
        pop(to);
        return;
      default:
        return;
    }
  }
}
