/**
 * Flow operations and packet execution: single ones, batches, dumps.
 * Source: lib/dpif-netlink.c (dpif_netlink_operate__(), dpif_netlink_flow_dump_*()).
 */
import { DPIF_FP, type DpifExecute, type DpifFlow, type DpifFlowGet, type DpifOp } from '../dpif/dpif-types.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../netlink/errors.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD, OVS_FLOW_VERSION } from '../netlink/families/ovs-flow.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD, OVS_PACKET_VERSION } from '../netlink/families/ovs-packet.ts';
import type { OvsRequest } from '../netlink/genl.ts';
import { dump } from '../netlink/genl-dump.ts';
import type { MessageView, MessageWriter } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { decodeFlow, writeFlow } from './flow-codec.ts';
import type { OvsFamilies } from './ovs-families.ts';

const log = vlog('dpif_netlink');
const errorLimit = new RateLimit(9999, 5);

/** The largest payload of a netlink attribute. */
const NLA_MAX_PAYLOAD = 65_535 - 4;
const P = OVS_PACKET_ATTR.type;
const F = OVS_FLOW_ATTR.type;

export class FlowOps {
  private readonly fam: OvsFamilies;
  private readonly dpIfindex: number;
  /** The usual requests: their headers are always the same. */
  private readonly requests: Readonly<Record<'execute' | 'get' | 'del' | 'delEcho' | 'create', OvsRequest>>;

  constructor(fam: OvsFamilies, dpIfindex: number) {
    this.fam = fam;
    this.dpIfindex = dpIfindex;
    this.requests = {
      execute: { family: fam.packet, cmd: OVS_PACKET_CMD.EXECUTE, version: OVS_PACKET_VERSION, flags: 0, dpIfindex },
      get: this.flowRequest(OVS_FLOW_CMD.GET, 0),
      del: this.flowRequest(OVS_FLOW_CMD.DEL, 0),
      delEcho: this.flowRequest(OVS_FLOW_CMD.DEL, NLM_F.ECHO),
      create: this.flowRequest(OVS_FLOW_CMD.NEW, NLM_F.CREATE),
    };
  }

  /** See Dpif.operate. */
  async operate(ops: readonly DpifOp[]): Promise<void> {
    const fitting = ops.every((op) => op.type !== 'execute' || fits(op))
      ? ops
      : ops.filter((op) => op.type !== 'execute' || op.packet.length <= NLA_MAX_PAYLOAD);
    if (fitting.length > 0) await this.operateFitting(fitting);
  }

  private async operateFitting(ops: readonly DpifOp[]): Promise<void> {
    const at = (i: number): DpifOp => {
      const op = ops[i];
      if (op === undefined) throw new RangeError(`operation ${i} of ${ops.length}`);
      return op;
    };
    const onReply = (i: number, msg: MessageView): void => {
      const op = at(i);
      if (op.type === 'execute' || msg.type !== this.fam.flow || !msg.hasOvsHeader) return;
      try {
        const flow = decodeFlow(msg);
        if (op.type === 'get') op.flow = flow;
        else op.stats = flow.stats;
      } catch (e) {
        if (!(e instanceof NetlinkFormatError)) throw e;
        log.warn(`malformed flow in a reply: ${e.message}`, errorLimit);
      }
    };
    try {
      const results = await this.fam.client.batch(
        ops.length,
        (i) => this.requestOf(at(i)),
        (i, w) => writeOp(w, at(i)),
        onReply,
        'flow operations',
      );
      for (let i = 0; i < ops.length; i++) {
        const op = at(i);
        op.result = results[i] ?? ERRNO.EINVAL;
        if (op.result === 0 && lacksReply(op)) op.result = ERRNO.EINVAL;
      }
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      for (const op of ops) op.result = e.errno;
    }
  }

  private requestOf(op: DpifOp): OvsRequest {
    const { requests } = this;
    switch (op.type) {
      case 'execute':
        return requests.execute;
      case 'get':
        return requests.get;
      case 'del':
        return op.wantStats ? requests.delEcho : requests.del;
      default: {
        const echo = op.wantStats ? NLM_F.ECHO : 0;
        if (op.flags === DPIF_FP.CREATE && echo === 0) return requests.create;
        const cmd = op.flags & DPIF_FP.CREATE ? OVS_FLOW_CMD.NEW : OVS_FLOW_CMD.SET;
        return this.flowRequest(cmd, echo | (op.flags & DPIF_FP.MODIFY ? 0 : NLM_F.CREATE));
      }
    }
  }

  private flowRequest(cmd: number, flags: number): OvsRequest {
    return { family: this.fam.flow, cmd, version: OVS_FLOW_VERSION, flags, dpIfindex: this.dpIfindex };
  }

  /** Deletes all flows. */
  flush(): Promise<void> {
    return this.fam.client.transact(this.requests.del, () => {}, 'ovs_flow flush');
  }

  /** See Dpif.flowDump. */
  async dump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> {
    await dump(
      this.fam.endpoint,
      this.requests.get,
      (w) => writeFlow(w, { ufid: undefined, terse }),
      decodeFlow,
      async (flows) => visit(terse ? flows : await this.withActions(flows)),
      'ovs_flow dump',
    );
  }

  /** A datapath leaves the actions out of a dump where they did not fit in a message; they are asked for one by one. */
  private async withActions(flows: DpifFlow[]): Promise<DpifFlow[]> {
    if (flows.every((f) => f.actions !== undefined)) return flows;
    const complete: DpifFlow[] = [];
    for (const f of flows) {
      if (f.actions !== undefined) {
        complete.push(f);
        continue;
      }
      const get: DpifFlowGet = { type: 'get', key: f.key, ufid: f.ufid };
      await this.operateFitting([get]);
      if (get.flow !== undefined) complete.push(get.flow);
      else if (get.result !== ERRNO.ENOENT)
        throw new NetlinkError(get.result ?? ERRNO.EINVAL, 'actions of a dumped flow');
    }
    return complete;
  }
}

/** A get, or one that asked for statistics, has failed if nothing readable came back. */
function lacksReply(op: DpifOp): boolean {
  if (op.type === 'get') return op.flow === undefined;
  return op.type !== 'execute' && op.wantStats === true && op.stats === undefined;
}

function fits(op: DpifExecute): boolean {
  if (op.packet.length <= NLA_MAX_PAYLOAD) return true;
  log.err(`dropping oversized ${op.packet.length}-byte packet`, errorLimit);
  op.result = ERRNO.ENOBUFS;
  return false;
}

function writeOp(w: MessageWriter, op: DpifOp): void {
  switch (op.type) {
    case 'put':
      writeFlow(w, op);
      if ((op.flags & DPIF_FP.ZERO_STATS) !== 0) w.attrFlag(F.clear);
      if ((op.flags & DPIF_FP.PROBE) !== 0) w.attrFlag(F.probe);
      break;
    case 'del':
    case 'get':
      writeFlow(w, op);
      break;
    case 'execute':
      w.attrBytes(P.packet, op.packet);
      w.attrBytes(P.key, op.key);
      w.attrBytes(P.actions, op.actions);
      if (op.probe) w.attrFlag(P.probe);
      if (op.mru !== undefined && op.mru !== 0) w.attrU16(P.mru, op.mru);
      if (op.hash !== undefined && op.hash !== 0n) w.attrU64(P.hash, op.hash);
      break;
  }
}
