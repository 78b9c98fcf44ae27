/**
 * Asks a datapath what it can do, by flows that are put in and taken out again, and by packets that go nowhere: when the
 * datapath is opened, before it sends anything up.
 * Source: ofproto/ofproto-dpif.c (check_support), lib/dpif.c (dpif_probe_feature).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import { dpifFullName } from '../../dpif/dpif-name.ts';
import { DPIF_FP, type DpifExecute, type DpifFlowGet, type DpifFlowPut } from '../../dpif/dpif-types.ts';
import { FIELD, type Field, VLAN_CFI } from '../../flow/fields.ts';
import { composeFlow } from '../../flow/flow-compose.ts';
import { newFlowKey, setField } from '../../flow/flow-key.ts';
import { OVS_HASH_ALG } from '../../odp/action-attrs.ts';
import { KEY_ROWS, OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { type OdpSupport, odpKeyFromFlow } from '../../odp/key/odp-key-build.ts';
import { OdpActionsBuilder } from '../../odp/odp-actions.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';
import { flowUfid } from '../udpif/flow-ufid.ts';
import type { DpSupport } from './dp-support.ts';

const log = vlog('ofproto_dpif');

/** Only what every datapath can match. */
const LEAST: OdpSupport = {
  maxVlanHeaders: 0,
  maxMplsDepth: 0,
  recirc: false,
  ctState: false,
  ctZone: false,
  ctMark: false,
  ctLabel: false,
  ctOrigTuple: false,
  ctOrigTuple6: false,
  ndExt: false,
};
const MAX_VLAN_HEADERS = 2;
const MAX_MPLS_DEPTH = 3;
/** Nested samples that every datapath takes, and that are worth knowing of. */
const MIN_SAMPLE_NESTING = 3;
const MAX_SAMPLE_NESTING = 10;

const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const ETH_TYPE_MPLS = 0x8847;
/** Of nobody. */
const ETH_TYPE_PROBE = 0x1234;
const ETH_HEADER_SIZE = 14;
/** TRACKED, and SRC_NAT of a connection. */
const CT_STATE_NAT = 0x60;
const MPLS_BOS = 0x100;
const LSES = [FIELD.mplsLse0, FIELD.mplsLse1, FIELD.mplsLse2] as const;
const NO_ACTIONS = new Uint8Array(0);

const keyOf = (fields: readonly (readonly [Field, number])[], support: Partial<OdpSupport> = {}): Uint8Array => {
  const flow = newFlowKey();
  for (const [field, value] of fields) setField(flow, field, value);
  return odpKeyFromFlow(flow, { ...LEAST, ...support });
};
/** The key of a packet that says nothing: for questions about actions. */
const BLANK = keyOf([]);

const list = (build: (out: OdpActionsBuilder) => void): Uint8Array => {
  const out = new OdpActionsBuilder();
  build(out);
  return out.finish();
};

function nestedSamples(depth: number): Uint8Array {
  const nest = (out: OdpActionsBuilder, left: number): void => {
    if (left === 0) out.output(1);
    else out.sample(0xffffffff, (inner) => nest(inner, left - 1));
  };
  return list((out) => nest(out, depth));
}

/** Questions to one datapath: they are put together, asked, and their answers read. */
class Questions {
  private readonly puts: DpifFlowPut[] = [];
  private readonly executes: DpifExecute[] = [];

  /** Whether the datapath takes a flow. */
  flow(key: Uint8Array, actions: Uint8Array = NO_ACTIONS): DpifFlowPut {
    // What an earlier run that was killed has left is changed.
    const flags = DPIF_FP.CREATE | DPIF_FP.MODIFY | DPIF_FP.PROBE;
    const put: DpifFlowPut = { type: 'put', flags, key, mask: undefined, ufid: undefined, actions };
    this.puts.push(put);
    return put;
  }

  /** Whether it carries out actions on a packet. */
  execution(packet: Uint8Array, actions: Uint8Array): DpifExecute {
    const execute: DpifExecute = { type: 'execute', key: BLANK_METADATA, actions, packet, probe: true };
    this.executes.push(execute);
    return execute;
  }

  /** One flow after the other: together, one might be taken for another that matches the same packets. */
  async ask(dpif: Dpif): Promise<void> {
    await dpif.operate(this.executes);
    for (const put of this.puts) {
      await dpif.operate([put]);
      const { key, result = ERRNO.EINVAL } = put;
      if (result === 0) await dpif.operate([{ type: 'del', key, ufid: undefined, wantStats: false }]);
      else if (result !== ERRNO.EINVAL && result !== ERRNO.EOVERFLOW) {
        log.warn(`${dpifFullName(dpif)}: flow probe failed (${errnoText(result)})`);
      }
    }
  }
}

/** Metadata that an execution comes with: the datapath's own port, and nothing else. */
const BLANK_METADATA = list((out) => {
  const port = new Uint8Array(4);
  out.raw(OVS_KEY_ATTR.PRIORITY, port);
  out.raw(OVS_KEY_ATTR.IN_PORT, port);
  out.raw(OVS_KEY_ATTR.SKB_MARK, port);
});

const isYes = ({ result }: DpifFlowPut | DpifExecute): boolean => result === 0;
/** How many questions in a row were answered with yes. */
function countYes(questions: readonly DpifFlowPut[]): number {
  const no = questions.findIndex((q) => !isYes(q));
  return no < 0 ? questions.length : no;
}

/** Asks `dpif` what it can do, and logs it.  Rejects if it does not answer at all. */
export async function probeDpSupport(dpif: Dpif): Promise<DpSupport> {
  const q = new Questions();
  const plain = new Uint8Array(ETH_HEADER_SIZE);
  new DataView(plain.buffer).setUint16(12, ETH_TYPE_PROBE);
  const udp = udpPacket();
  const mac = (byte: number): Uint8Array => new Uint8Array(12).fill(byte);
  const ndSize = KEY_ROWS[OVS_KEY_ATTR.ND_EXTENSIONS]?.size ?? 0;
  const isIp = [FIELD.ethType, ETH_TYPE_IP] as const;

  const recirc = q.flow(
    keyOf(
      [
        [FIELD.recircId, 1],
        [FIELD.dpHash, 1],
      ],
      { recirc: true },
    ),
  );
  const vlans = times(MAX_VLAN_HEADERS, (n) => q.flow(vlanKey(n + 1)));
  const labels = times(MAX_MPLS_DEPTH, (n) => q.flow(mplsKey(n)));
  const samples = times(MAX_SAMPLE_NESTING - MIN_SAMPLE_NESTING, (n) =>
    q.flow(BLANK, nestedSamples(n + MIN_SAMPLE_NESTING)),
  );
  const hashes = [OVS_HASH_ALG.SYM_L4].map((algorithm) =>
    q.flow(
      BLANK,
      list((out) => out.hash(algorithm, 0)),
    ),
  );
  const masked = q.execution(
    plain,
    list((out) => out.setMasked(OVS_KEY_ATTR.ETHERNET, mac(0x53), mac(0x7f))),
  );
  const nd = q.execution(
    plain,
    list((out) =>
      out.setMasked(OVS_KEY_ATTR.ND_EXTENSIONS, mac(0x53).subarray(0, ndSize), mac(0x7f).subarray(0, ndSize)),
    ),
  );
  const trunc = q.execution(
    plain,
    list((out) => out.trunc(ETH_HEADER_SIZE + 1)),
  );
  const clone = q.execution(
    plain,
    list((out) => out.clone(() => {})),
  );
  const eventmask = q.execution(
    udp,
    list((out) => out.ct({ eventMask: 0xffffffff })),
  );
  const timeout = q.execution(
    udp,
    list((out) => out.ct({ timeout: 'ovs_test_tp' })),
  );
  const clear = q.flow(
    BLANK,
    list((out) => out.ctClear()),
  );
  const checkPktLen = q.flow(
    BLANK,
    list((out) =>
      out.checkPktLen(
        100,
        () => {},
        () => {},
      ),
    ),
  );
  const addMpls = q.flow(
    BLANK,
    list((out) => out.addMpls(0, ETH_TYPE_MPLS, 0)),
  );
  const ctState = q.flow(keyOf([isIp, [FIELD.ctState, 1]], { ctState: true }));
  const ctZone = q.flow(keyOf([isIp, [FIELD.ctZone, 1]], { ctZone: true }));
  const ctMark = q.flow(keyOf([isIp, [FIELD.ctMark, 1]], { ctMark: true }));
  const ctLabel = q.flow(ctLabelKey());
  const ctStateNat = q.flow(keyOf([isIp, [FIELD.ctState, CT_STATE_NAT]], { ctState: true }));
  const tuple = [FIELD.ctNwProto, 1] as const;
  const ctOrigTuple = q.flow(keyOf([isIp, tuple], { ctOrigTuple: true }));
  const ctOrigTuple6 = q.flow(keyOf([[FIELD.ethType, ETH_TYPE_IPV6], tuple], { ctOrigTuple6: true }));

  const ufid = await takesUfid(dpif);
  await q.ask(dpif);
  const support: DpSupport = {
    maskedSetAction: isYes(masked),
    // These three are known to userspace datapaths only.
    tnlPushPop: false,
    explicitDropAction: false,
    lbOutputAction: false,
    ufid,
    trunc: isYes(trunc),
    clone: isYes(clone),
    sampleNesting: MIN_SAMPLE_NESTING + countYes(samples),
    ctEventmask: isYes(eventmask),
    ctClear: isYes(clear),
    maxHashAlg: countYes(hashes),
    checkPktLen: isYes(checkPktLen),
    ctTimeout: isYes(timeout),
    // Every conntrack of a datapath that can be asked about connections knows it.
    ctZeroSnat: dpif.ct !== undefined,
    addMpls: isYes(addMpls),
    maxVlanHeaders: countYes(vlans),
    maxMplsDepth: countYes(labels),
    recirc: isYes(recirc),
    ctState: isYes(ctState),
    ctZone: isYes(ctZone),
    ctMark: isYes(ctMark),
    ctLabel: isYes(ctLabel),
    ctStateNat: isYes(ctStateNat),
    ctOrigTuple: isYes(ctOrigTuple),
    ctOrigTuple6: isYes(ctOrigTuple6),
    ndExt: isYes(nd),
  };
  logSupport(dpifFullName(dpif), support);
  return support;
}

const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

function vlanKey(n: number): Uint8Array {
  const fields: (readonly [Field, number])[] = [
    [FIELD.ethType, ETH_TYPE_IP],
    [FIELD.vlanTpid, 0x8100],
    [FIELD.vlanTci, VLAN_CFI | 1],
  ];
  if (n > 1) fields.push([FIELD.cvlanTpid, 0x8100], [FIELD.cvlanTci, VLAN_CFI | 1]);
  return keyOf(fields, { maxVlanHeaders: n });
}

/** A stack whose last label is number `last`. */
function mplsKey(last: number): Uint8Array {
  return keyOf([
    [FIELD.ethType, ETH_TYPE_MPLS],
    [LSES[last] ?? LSES[0], MPLS_BOS],
  ]);
}

function ctLabelKey(): Uint8Array {
  const flow = newFlowKey();
  setField(flow, FIELD.ethType, ETH_TYPE_IP);
  flow[FIELD.ctLabels.word] = 1;
  return odpKeyFromFlow(flow, { ...LEAST, ctLabel: true });
}

/** Of addresses that nobody has, lest it is of a connection that somebody has. */
function udpPacket(): Uint8Array {
  const flow = newFlowKey();
  setField(flow, FIELD.ethType, ETH_TYPE_IP);
  setField(flow, FIELD.nwProto, 17);
  setField(flow, FIELD.nwTtl, 64);
  setField(flow, FIELD.nwSrc, 0x7fffffff);
  setField(flow, FIELD.nwDst, 0x7fffffff);
  return composeFlow(flow, { payload: 64 }) ?? new Uint8Array(ETH_HEADER_SIZE);
}

/** Whether a flow is known by the UFID that it was put with. */
async function takesUfid(dpif: Dpif): Promise<boolean> {
  // Its own: of a run that was killed, the removal of this flow may still be under way.
  const key = keyOf([
    [FIELD.ethType, ETH_TYPE_PROBE],
    [FIELD.skbMark, process.pid],
  ]);
  const ufid = flowUfid(key);
  const flags = DPIF_FP.CREATE | DPIF_FP.MODIFY | DPIF_FP.PROBE;
  const put: DpifFlowPut = { type: 'put', flags, key, mask: undefined, ufid, actions: NO_ACTIONS };
  await dpif.operate([put]);
  if (put.result !== 0) return false;
  const get: DpifFlowGet = { type: 'get', key, ufid };
  await dpif.operate([get]);
  const isKnown = get.result === 0 && get.flow?.ufid?.equals(ufid) === true;
  await dpif.operate([{ type: 'del', key, ufid: isKnown ? ufid : undefined, wantStats: false }]);
  return isKnown;
}

/** Scripts look for these lines. */
function logSupport(name: string, s: DpSupport): void {
  const say = (isSupported: boolean, what: string): void =>
    log.info(`${name}: Datapath ${isSupported ? 'supports' : 'does not support'} ${what}`);
  say(s.recirc, 'recirculation');
  log.info(`${name}: VLAN header stack length probed as ${s.maxVlanHeaders}`);
  log.info(`${name}: MPLS label stack length probed as ${s.maxMplsDepth}`);
  if (!s.maskedSetAction) log.info(`${name}: datapath does not support masked set action feature.`);
  say(s.trunc, 'truncate action');
  say(s.ufid, 'unique flow ids');
  say(s.clone, 'clone action');
  log.info(`${name}: Max sample nesting level probed as ${s.sampleNesting}`);
  say(s.ctEventmask, 'eventmask in conntrack action');
  say(s.ctClear, 'ct_clear action');
  log.info(`${name}: Max dp_hash algorithm probed to be ${s.maxHashAlg}`);
  say(s.checkPktLen, 'check_pkt_len action');
  say(s.ctTimeout, 'timeout policy in conntrack action');
  say(s.ctZeroSnat, 'ct_zero_snat');
  say(s.addMpls, 'add_mpls action');
  say(s.ctState, 'ct_state');
  say(s.ctZone, 'ct_zone');
  say(s.ctMark, 'ct_mark');
  say(s.ctLabel, 'ct_label');
  say(s.ctStateNat, 'ct_state_nat');
  say(s.ctOrigTuple, 'ct_orig_tuple');
  say(s.ctOrigTuple6, 'ct_orig_tuple6');
  say(s.ndExt, 'IPv6 ND Extensions');
}
