/**
 * Flow operations and packet execution: single ones, batches, dumps.
 * Source: lib/dpif-netlink.c (dpif_netlink_operate__(), dpif_netlink_flow_dump_*()).
 */
import { DPIF_FP, type DpifExecute, type DpifFlow, type DpifFlowGet, type DpifOp } from '../dpif/dpif-types.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../netlink/errors.ts';
import { OVS_FLOW_CMD, OVS_FLOW_VERSION } from '../netlink/families/ovs-flow.ts';
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

/** Operations of one batch. */
const OPERATE_MAX_OPS = 50;
/** The largest payload of a netlink attribute. */
const NLA_MAX_PAYLOAD = 65_535 - 4;
const P = OVS_PACKET_ATTR.type;

export class FlowOps {
  private readonly fam: OvsFamilies;
  private readonly dpIfindex: number;

  constructor(fam: OvsFamilies, dpIfindex: number) {
    this.fam = fam;
    this.dpIfindex = dpIfindex;
  }

  /** See Dpif.operate. */
  async operate(ops: readonly DpifOp[]): Promise<void> {
    const fitting = ops.filter((op) => op.type !== 'execute' || fits(op));
    for (let i = 0; i < fitting.length; i += OPERATE_MAX_OPS)
      await this.operateSome(fitting.slice(i, i + OPERATE_MAX_OPS));
  }

  private async operateSome(ops: readonly DpifOp[]): Promise<void> {
    const at = (i: number): DpifOp => {
      const op = ops[i];
      if (op === undefined) throw new RangeError(`operation ${i} of ${ops.length}`);
      return op;
    };
    const replied = new Set<number>();
    const onReply = (i: number, msg: MessageView): void => {
      const op = at(i);
      if (op.type === 'execute' || msg.type !== this.fam.flow || !msg.hasOvsHeader) return;
      try {
        const flow = decodeFlow(msg);
        if (op.type === 'get') op.flow = flow;
        else op.stats = flow.stats;
        replied.add(i);
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
      ops.forEach((op, i) => {
        op.result = results[i] ?? ERRNO.EINVAL;
        // A get, or one that asked for statistics, has failed if nothing readable came back.
        const wantsReply = op.type === 'get' || (op.type !== 'execute' && op.wantStats === true);
        if (op.result === 0 && wantsReply && !replied.has(i)) op.result = ERRNO.EINVAL;
      });
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      for (const op of ops) op.result = e.errno;
    }
  }

  private requestOf(op: DpifOp): OvsRequest {
    if (op.type === 'execute') {
      const { packet: family } = this.fam;
      return { family, cmd: OVS_PACKET_CMD.EXECUTE, version: OVS_PACKET_VERSION, flags: 0, dpIfindex: this.dpIfindex };
    }
    if (op.type === 'get') return this.flowRequest(OVS_FLOW_CMD.GET, 0);
    const echo = op.wantStats ? NLM_F.ECHO : 0;
    if (op.type === 'del') return this.flowRequest(OVS_FLOW_CMD.DEL, echo);
    const cmd = op.flags & DPIF_FP.CREATE ? OVS_FLOW_CMD.NEW : OVS_FLOW_CMD.SET;
    return this.flowRequest(cmd, echo | (op.flags & DPIF_FP.MODIFY ? 0 : NLM_F.CREATE));
  }

  private flowRequest(cmd: number, flags: number): OvsRequest {
    return { family: this.fam.flow, cmd, version: OVS_FLOW_VERSION, flags, dpIfindex: this.dpIfindex };
  }

  /** Deletes all flows. */
  flush(): Promise<void> {
    return this.fam.client.transact(this.flowRequest(OVS_FLOW_CMD.DEL, 0), () => {}, 'ovs_flow flush');
  }

  /** See Dpif.flowDump. */
  async dump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> {
    await dump(
      this.fam.endpoint,
      this.flowRequest(OVS_FLOW_CMD.GET, 0),
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
      await this.operateSome([get]);
      if (get.flow !== undefined) complete.push(get.flow);
      else if (get.result !== ERRNO.ENOENT)
        throw new NetlinkError(get.result ?? ERRNO.EINVAL, 'actions of a dumped flow');
    }
    return complete;
  }
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
      writeFlow(w, {
        ufid: op.ufid,
        key: op.key,
        mask: op.mask,
        actions: op.actions,
        clear: (op.flags & DPIF_FP.ZERO_STATS) !== 0,
        probe: (op.flags & DPIF_FP.PROBE) !== 0,
      });
      break;
    case 'del':
    case 'get':
      writeFlow(w, { ufid: op.ufid, key: op.key });
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
