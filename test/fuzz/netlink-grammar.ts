/**
 * Requests to the datapath by the grammar of its families: valid ones mostly, about the few datapaths, ports, flows, meters and
 * zones that there are, in any order.
 */

import { putKey, putMask } from '../../src/datapath/match/key-put.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../src/flow/flow-extract.ts';
import { newFlowKey, setFieldOnes } from '../../src/flow/flow-key.ts';
import { NLM_F } from '../../src/netlink/constants.ts';
import { OVS_CT_LIMIT_ATTR, OVS_CT_LIMIT_CMD } from '../../src/netlink/families/ovs-ct-limit.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_METER_ATTR, OVS_METER_CMD } from '../../src/netlink/families/ovs-meter.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../../src/netlink/families/ovs-packet.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD } from '../../src/netlink/families/ovs-vport.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import { CLIENT, FAMILY, getFamily, ovsRequest } from '../datapath/requests.ts';
import { placeFrame, sharedArena } from './arena.ts';
import type { Random } from './random.ts';

/** ifindex of the local ports of the datapaths; the first is there from the start. */
export const DPS = [3, 4] as const;
const DP_NAMES = ['dp0', 'dp1'];
const PORT_NAMES = ['v0', 'v1', 'v2', 'i1', 'i2', 'dp0', 'lo', 'gone'];

const anyFlags = (random: Random): number =>
  random.pick([0, NLM_F.ECHO, NLM_F.ACK, NLM_F.ECHO | NLM_F.ACK, NLM_F.DUMP, NLM_F.CREATE, NLM_F.CREATE | NLM_F.EXCL]);
const anyDp = (random: Random): number =>
  random.oneIn(12) ? random.pick([0, 9, -1 >>> 0]) : random.pick([3, 3, 3, 4]);
const maybe = <T>(random: Random, n: number, name: string, value: () => T): Record<string, T> =>
  random.oneIn(n) ? { [name]: value() } : {};

/** The payload of the one nest that `put` writes. */
function nestBytes(put: (w: MessageWriter) => void): Uint8Array {
  const w = new MessageWriter();
  put(w);
  return w.bytes.slice(4, w.size);
}

/** What a case is about, so that its requests and frames have to do with each other. */
export interface Subject {
  readonly frames: readonly (readonly number[])[];
  actions(): Uint8Array;
}

/** Fields that most flows are about, so that a mask of them alone is a usual one. */
const USUAL = ['ethType', 'nwProto', 'nwSrc', 'nwDst', 'tpSrc', 'tpDst', 'vlanTci', 'ethSrc', 'ethDst'] as const;

/** Key and mask of a flow for packets like one of the frames; the mask is usual, whole, any bits, or none. */
function match(random: Random, subject: Subject): { key: Uint8Array; mask?: Uint8Array } {
  const key = newFlowKey();
  const pkt = placeFrame(sharedArena, 0, random.pick(subject.frames), 0);
  pkt.inPort = random.below(3);
  extractMetadata(pkt, key);
  extractHeaders(pkt, key);
  const keyBytes = nestBytes((w) => putKey(w, 1, key));
  if (random.oneIn(8)) return { key: keyBytes };
  const mask = newFlowKey();
  if (random.oneIn(6)) {
    const density = random.pick([1, 2, 4, 16]);
    for (let i = 0; i < mask.length; i++) {
      mask[i] = random.oneIn(density) ? -1 : random.oneIn(8) ? random.u32() | 0 : 0;
    }
  } else {
    for (const name of ['recircId', 'ethType', 'packetType'] as const) setFieldOnes(mask, FIELD[name]);
    if (!random.oneIn(3)) setFieldOnes(mask, FIELD.inPort);
    // What is in the headers can only be looked at where their protocol is.
    if (!random.oneIn(3)) setFieldOnes(mask, FIELD.nwProto);
    for (const name of USUAL) if (random.oneIn(3)) setFieldOnes(mask, FIELD[name]);
    for (let i = 0; i < mask.length; i++) if (random.oneIn(12)) mask[i]! |= random.u32();
  }
  return { key: keyBytes, mask: nestBytes((w) => putMask(w, 7, key, mask)) };
}

function flow(random: Random, subject: Subject): Uint8Array {
  const cmd = random.pick([
    ...Array<number>(6).fill(OVS_FLOW_CMD.NEW),
    OVS_FLOW_CMD.SET,
    OVS_FLOW_CMD.GET,
    OVS_FLOW_CMD.DEL,
  ]);
  const isBare = cmd !== OVS_FLOW_CMD.NEW && random.oneIn(2);
  return ovsRequest({
    ...{ family: FAMILY.FLOW, cmd, dpIfindex: anyDp(random), policy: OVS_FLOW_ATTR },
    flags: cmd === OVS_FLOW_CMD.NEW ? NLM_F.CREATE | random.pick([0, NLM_F.ECHO, NLM_F.EXCL]) : anyFlags(random),
    attrs: {
      ...(isBare ? {} : match(random, subject)),
      ...maybe(random, 2, 'ufid', () => new Uint8Array(random.pick([16, 16, 16, 8, 1])).fill(random.below(3))),
      ...(random.oneIn(9) ? {} : { actions: subject.actions() }),
      ...maybe(random, 6, 'ufidFlags', () => random.below(8)),
      ...maybe(random, 9, 'clear', () => true),
      ...maybe(random, 9, 'probe', () => true),
    },
  });
}

function vport(random: Random): Uint8Array {
  const cmd = random.pick([
    OVS_VPORT_CMD.NEW,
    OVS_VPORT_CMD.NEW,
    OVS_VPORT_CMD.SET,
    OVS_VPORT_CMD.GET,
    OVS_VPORT_CMD.DEL,
  ]);
  return ovsRequest({
    ...{ family: FAMILY.VPORT, cmd, flags: anyFlags(random), dpIfindex: anyDp(random), policy: OVS_VPORT_ATTR },
    attrs: {
      ...(random.oneIn(3) ? {} : { name: random.pick(PORT_NAMES) }),
      ...maybe(random, 2, 'portNo', () => random.pick([0, 1, 2, 3, 65535, 65536])),
      ...(random.oneIn(8) ? {} : { type: random.pick([1, 1, 2, 2, 3, 4, 5, 0, 9]) }),
      ...(random.oneIn(5) ? {} : { upcallPid: random.list(3, () => random.pick([0, CLIENT, CLIENT + 1])) }),
    },
  });
}

function datapath(random: Random): Uint8Array {
  const cmd = random.pick([OVS_DP_CMD.NEW, OVS_DP_CMD.SET, OVS_DP_CMD.SET, OVS_DP_CMD.GET, OVS_DP_CMD.DEL]);
  return ovsRequest({
    ...{ family: FAMILY.DATAPATH, cmd, version: random.pick([1, 2, 2]), flags: anyFlags(random), policy: OVS_DP_ATTR },
    dpIfindex: random.oneIn(2) ? 0 : anyDp(random),
    attrs: {
      ...(random.oneIn(6) ? {} : { name: random.pick(DP_NAMES) }),
      ...(random.oneIn(4) ? {} : { upcallPid: random.pick([0, CLIENT]) }),
      ...maybe(random, 2, 'userFeatures', () => random.pick([0, 1, 2, 3, 8, 9, 15, 4, 0x100])),
      ...maybe(random, 4, 'masksCacheSize', () => random.pick([0, 1, 2, 3, 256, 1 << 20, -1 >>> 0])),
      ...maybe(random, 4, 'perCpuPids', () => random.list(5, () => random.pick([0, CLIENT]))),
    },
  });
}

function meter(random: Random): Uint8Array {
  const cmd = random.pick([
    OVS_METER_CMD.FEATURES,
    OVS_METER_CMD.SET,
    OVS_METER_CMD.SET,
    OVS_METER_CMD.DEL,
    OVS_METER_CMD.GET,
  ]);
  const band = () => ({
    type: random.pick([1, 1, 1, 0, 2]),
    rate: random.pick([0, 1, 8, 1000, 0xffffffff]),
    burst: random.below(9),
  });
  return ovsRequest({
    ...{ family: FAMILY.METER, cmd, flags: anyFlags(random), dpIfindex: anyDp(random), policy: OVS_METER_ATTR },
    attrs: {
      ...(random.oneIn(6) ? {} : { id: random.pick([0, 1, 2, 1023, 1024, 200_000, -1 >>> 0]) }),
      ...maybe(random, 2, 'kbps', () => true),
      ...maybe(random, 4, 'clear', () => true),
      ...(random.oneIn(4) ? {} : { bands: random.list(3, band) }),
    },
  });
}

function ctLimit(random: Random): Uint8Array {
  const cmd = random.pick([OVS_CT_LIMIT_CMD.SET, OVS_CT_LIMIT_CMD.DEL, OVS_CT_LIMIT_CMD.GET]);
  const limit = () => ({ zoneId: random.pick([-1, 0, 1, 65535, 65536, -2]), limit: random.pick([0, 1, 5]), count: 0 });
  return ovsRequest({
    ...{ family: FAMILY.CT_LIMIT, cmd, flags: anyFlags(random), dpIfindex: anyDp(random), policy: OVS_CT_LIMIT_ATTR },
    attrs: { ...(random.oneIn(5) ? {} : { zoneLimit: random.list(3, limit) }) },
  });
}

function packet(random: Random, subject: Subject): Uint8Array {
  return ovsRequest({
    ...{ family: FAMILY.PACKET, cmd: OVS_PACKET_CMD.EXECUTE, dpIfindex: anyDp(random), policy: OVS_PACKET_ATTR },
    flags: anyFlags(random),
    attrs: {
      key: match(random, subject).key,
      actions: subject.actions(),
      packet: Uint8Array.from(random.pick(subject.frames)),
      ...maybe(random, 9, 'probe', () => true),
      ...maybe(random, 9, 'mru', () => random.pick([0, 60, 1500])),
      ...maybe(random, 9, 'hash', () => BigInt(random.u32())),
    },
  });
}

export function request(random: Random, subject: Subject): Uint8Array {
  switch (random.below(12)) {
    case 0:
      return datapath(random);
    case 1:
    case 2:
      return vport(random);
    case 3:
      return meter(random);
    case 4:
      return ctLimit(random);
    case 5:
    case 6:
      return packet(random, subject);
    case 7:
      return getFamily(random.pick(['ovs_datapath', 'ovs_flow', 'ovs_packet', 'nlctrl', 'none']));
    default:
      return flow(random, subject);
  }
}
