/**
 * Compiles one list of actions and the lists inside it, for compile-actions.ts: what each action demands, and what of it goes into
 * the program.  What changes headers has files of its own: compile-set.ts and compile-push-pop.ts.
 * Source: net/openvswitch/flow_netlink.c (__ovs_nla_copy_actions).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { DP_MAX_PORTS } from '../../netlink/families/ovs-vport.ts';
import { AttrCursor } from '../../netlink/message.ts';
import { MAX_ACTION_DEPTH, OVS_ACTION_ATTR, OVS_HASH_ALG, OVS_USERSPACE_ATTR } from '../../odp/action-attrs.ts';
import { OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_HLEN } from '../../packet/ethernet.ts';
import { ERRNO } from '../../util/errno.ts';
import { type CtArgs, parseCt } from '../conntrack/ct-args.ts';
import { KERNEL_WITH_DROP, KERNEL_WITH_PSAMPLE, USERSPACE_DATAPATH } from '../kernel-compat.ts';
import { readPsample } from '../psample.ts';
import { readSetTunnel, SET_TUNNEL_SIZE } from '../tunnel/set-tunnel.ts';
import type { TunnelInfo } from '../tunnel/tunnel-info.ts';
import { keepsKey, lastOfEach, type Range, readCheckPktLen, readDecTtl, readSample, refuse } from './action-parts.ts';
import { emitAction, SET_OP } from './action-program.ts';
import { ACTION_SIZES, USES_UP } from './action-rules.ts';
import { compilePushPop } from './compile-push-pop.ts';
import { compileSet, type PacketShape } from './compile-set.ts';
import { hasKeptParts } from './kept-actions.ts';

const A = OVS_ACTION_ATTR;
/** What the kernel stores of a CT action: its header and a struct ovs_conntrack_info. */
const CT_INFO_SIZE = 164;
/** Largest attribute. */
const MAX_ATTR = 0xffff;

/** Compiles the lists of one program, and keeps what is made of them until that is complete. */
export class ActionCompiler {
  readonly code: number[] = [];
  readonly cts: CtArgs[] = [];
  readonly tunnels: TunnelInfo[] = [];
  /** Whether the list is as the kernel would show it: see kept-actions.ts. */
  isKeptForm = true;
  private readonly dv: DataView;
  private readonly base: number;
  private readonly key: FlowKey;
  private readonly kernelCompat: number;
  private readonly wasChecked: boolean;
  /** Bytes that the kernel would have stored up to here: its limits are about those. */
  private stored = 0;

  constructor(dv: DataView, base: number, key: FlowKey, kernelCompat: number, wasChecked: boolean) {
    this.dv = dv;
    this.base = base;
    this.key = key;
    this.kernelCompat = kernelCompat;
    this.wasChecked = wasChecked;
  }

  /**
   * Compiles one list.  `shape` is changed.  What is left of a packet at the end of a list whose last action does not use
   * it up is dropped, for a reason of its own.
   */
  list(at: number, size: number, shape: PacketShape, depth: number): void {
    let last: number = A.UNSPEC;
    if (depth > MAX_ACTION_DEPTH) refuse('nested too deep', ERRNO.EOVERFLOW);
    const it = new AttrCursor(this.dv, at, at + size, 'OVS_ACTION_ATTR');
    while (it.next()) {
      const want = ACTION_SIZES[it.type];
      if (want === undefined || (want !== it.size && want !== -1)) refuse(`action ${it.type} of ${it.size} bytes`);
      const isLast = it.at + nlaAlign(it.size) >= at + size;
      this.action(it, shape, depth, isLast, at, size);
      last = it.type;
      if (this.dv.getUint16(it.at - 2, LITTLE_ENDIAN) !== it.type) this.isKeptForm = false;
    }
    if (!USES_UP.has(last)) this.emit(SET_OP.END);
  }

  private emit(op: number, ...args: number[]): void {
    emitAction(this.code, op, ...args);
  }
  private u32(at: number): number {
    return this.dv.getUint32(at, LITTLE_ENDIAN);
  }

  private action(it: AttrCursor, shape: PacketShape, depth: number, isLast: boolean, listAt: number, listSize: number) {
    const { dv } = this;
    let stored = NLA_HDRLEN + nlaAlign(it.size);
    switch (it.type) {
      case A.OUTPUT: {
        const port = this.u32(it.at);
        if (port >= DP_MAX_PORTS) refuse(`output to port ${port}`);
        this.emit(A.OUTPUT, port);
        break;
      }
      case A.USERSPACE:
        this.userspace(it, listAt, listSize);
        break;
      case A.TRUNC: {
        const max = this.u32(it.at);
        if (max < ETH_HLEN) refuse(`truncation to ${max} bytes`);
        this.emit(A.TRUNC, max);
        break;
      }
      case A.HASH:
        if (!this.knowsHash(this.u32(it.at))) refuse(`hash algorithm ${this.u32(it.at)}`);
        this.emit(A.HASH, this.u32(it.at + 4) | 0, this.u32(it.at));
        break;
      case A.RECIRC:
        this.emit(A.RECIRC, this.u32(it.at) | 0);
        break;
      case A.SET:
      case A.SET_MASKED: {
        if (it.size >= NLA_HDRLEN && (dv.getUint16(it.at + 2, LITTLE_ENDIAN) & 0x3fff) === OVS_KEY_ATTR.TUNNEL) {
          this.setTunnel(it);
          stored = SET_TUNNEL_SIZE;
          break;
        }
        const op = this.code.length;
        const n = compileSet(it, it.type === A.SET_MASKED, this.key, shape, this.code);
        if (n < 0) refuse('set of a field that cannot be set here');
        if (this.isUserspace && this.code[op] === SET_OP.SCTP) this.code[op] = SET_OP.SCTP_UNPADDED;
        if (it.type === A.SET) stored = n;
        break;
      }
      case A.CT:
        this.isKeptForm = false;
        this.emit(A.CT, this.cts.push(parseCt(dv, it.at, it.size, this.key)) - 1);
        stored = CT_INFO_SIZE;
        break;
      case A.CT_CLEAR:
        this.emit(A.CT_CLEAR);
        break;
      case A.SAMPLE:
        this.sample(it, shape, depth, isLast);
        return;
      case A.CLONE:
        this.nestedList(A.CLONE, [this.inPlace(it, isLast)], it.at, it.size, shape, depth, 8);
        return;
      case A.CHECK_PKT_LEN:
        this.checkPktLen(it, shape, depth, isLast);
        return;
      case A.DEC_TTL: {
        const list = readDecTtl(dv, it);
        this.noteParts(it);
        this.nestedList(A.DEC_TTL, [], list.at, list.size, shape, depth, NLA_HDRLEN);
        return;
      }
      case A.METER:
        this.emit(A.METER, this.u32(it.at) | 0);
        break;
      case A.DROP:
        if (this.kernelCompat < KERNEL_WITH_DROP || !isLast) refuse('drop');
        this.emit(A.DROP, this.u32(it.at) | 0);
        break;
      case A.PSAMPLE:
        this.psample(it);
        break;
      default:
        if (!compilePushPop(it, shape, this.isUserspace, this.code)) refuse(`action ${it.type}`);
    }
    this.stored += stored;
  }

  private get isUserspace(): boolean {
    return this.kernelCompat === USERSPACE_DATAPATH;
  }

  private knowsHash(algorithm: number): boolean {
    return algorithm === OVS_HASH_ALG.L4 || (algorithm === OVS_HASH_ALG.SYM_L4 && this.isUserspace);
  }

  private setTunnel(it: AttrCursor): void {
    const nested = this.dv.getUint16(it.at, LITTLE_ENDIAN);
    // One attribute, padded, and nothing else; a mask is not allowed.
    if (it.type === A.SET_MASKED || nested < NLA_HDRLEN || nested > it.size || nlaAlign(nested) !== it.size) {
      refuse('set(tunnel)');
    }
    const tun = readSetTunnel(this.dv, it.at + NLA_HDRLEN, nested - NLA_HDRLEN);
    this.emit(SET_OP.TUNNEL, this.tunnels.push(tun) - 1);
    this.isKeptForm = false;
  }

  private userspace(it: AttrCursor, listAt: number, listSize: number): void {
    const attrs = lastOfEach(this.dv, it, OVS_USERSPACE_ATTR.ACTIONS);
    const pid = attrs[OVS_USERSPACE_ATTR.PID];
    const port = attrs[OVS_USERSPACE_ATTR.EGRESS_TUN_PORT];
    if ((pid && pid.size < 4) || (port && port.size < 4)) refuse('userspace attribute too short', ERRNO.ERANGE);
    if (pid === undefined || this.u32(pid.at) === 0) refuse('userspace without port id');
    const data = attrs[OVS_USERSPACE_ATTR.USERDATA];
    const wantsActions = attrs[OVS_USERSPACE_ATTR.ACTIONS] !== undefined;
    this.emit(
      A.USERSPACE,
      this.u32(pid!.at) | 0,
      data === undefined ? 0 : data.at - this.base,
      data === undefined ? -1 : data.size,
      port === undefined ? -1 : this.u32(port.at) | 0,
      wantsActions ? listAt - this.base : 0,
      wantsActions ? listSize : -1,
    );
  }

  private psample(it: AttrCursor): void {
    if (this.kernelCompat < KERNEL_WITH_PSAMPLE) refuse('psample');
    const action = readPsample(this.dv, it.at - NLA_HDRLEN, !this.wasChecked);
    if (typeof action === 'number') throw new NetlinkError(action, 'actions: psample');
    const { group, cookieAt, cookieSize } = action;
    this.emit(A.PSAMPLE, group | 0, cookieSize < 0 ? 0 : cookieAt - this.base, cookieSize);
  }

  private noteParts(it: AttrCursor): void {
    if (!hasKeptParts(this.dv, it.type, it.at, it.at + it.size)) this.isKeptForm = false;
  }

  private sample(it: AttrCursor, shape: PacketShape, depth: number, isLast: boolean): void {
    this.noteParts(it);
    const { probability, list } = readSample(this.dv, it);
    const head = [probability, this.inPlace(list, isLast)];
    this.nestedList(A.SAMPLE, head, list.at, list.size, shape, depth, 12);
  }

  private checkPktLen(it: AttrCursor, shape: PacketShape, depth: number, isLast: boolean): void {
    this.noteParts(it);
    const { bytes, less, greater } = readCheckPktLen(this.dv, it);
    const start = this.code.length;
    const storedBefore = this.stored;
    this.emit(A.CHECK_PKT_LEN, bytes, this.inPlace(less, isLast), this.inPlace(greater, isLast), 0);
    const lists = this.code.length;
    this.stored += NLA_HDRLEN + 8;
    this.stored += NLA_HDRLEN;
    const hasEthernet = getField(this.key, FIELD.packetType) === 0;
    this.list(less.at, less.size, { ...shape, hasEthernet }, depth + 1);
    this.code[lists - 1] = this.code.length - lists;
    this.stored += NLA_HDRLEN;
    this.list(greater.at, greater.size, { ...shape, hasEthernet }, depth + 1);
    this.code[start + 1] = this.code.length - start - 2;
    if (this.stored - storedBefore > MAX_ATTR) refuse('too long', ERRNO.EMSGSIZE);
  }

  /** Emits `op` with `head` arguments and then the list.  `overhead`: bytes stored besides the list and its header. */
  private nestedList(
    op: number,
    head: number[],
    at: number,
    size: number,
    shape: PacketShape,
    depth: number,
    overhead: number,
  ): void {
    if (size > 0 && size < NLA_HDRLEN) refuse('list too short');
    const start = this.code.length;
    const storedBefore = this.stored;
    this.emit(op, ...head);
    this.stored += NLA_HDRLEN + overhead;
    // Inside, whether there is an Ethernet header is judged by the flow key again, as the kernel does.
    const hasEthernet = getField(this.key, FIELD.packetType) === 0;
    this.list(at, size, { ...shape, hasEthernet }, depth + 1);
    this.code[start + 1] = this.code.length - start - 2;
    if (this.stored - storedBefore > MAX_ATTR) refuse('too long', ERRNO.EMSGSIZE);
  }

  private inPlace(list: Range, isLast: boolean): number {
    return isLast || keepsKey(this.dv, list) ? 1 : 0;
  }
}
