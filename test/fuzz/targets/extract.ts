/**
 * Frames into key extraction.  A case is one record: kind 0 an Ethernet frame, 1 a packet without Ethernet header (its
 * ethertype, then bytes), 2 a frame that a device was to fragment (UDP super-packet).
 *
 * The key is compared with the reference, whatever was in it before; nothing behind the frame's end may be read.
 */
import { FIELD, type FieldName, FLOW_WORDS } from '../../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../../src/flow/flow-extract.ts';
import { hashFlow } from '../../../src/flow/flow-hash.ts';
import { type FlowKey, getFieldBytes, newFlowKey } from '../../../src/flow/flow-key.ts';
import { VNET_GSO } from '../../../src/packet/packet.ts';
import { placeFrame, sharedArena } from '../arena.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { frame } from '../frames.ts';
import { type ReferenceKey, referenceKey } from '../oracles/reference-key.ts';
import type { Random } from '../random.ts';

const KIND = { ETHERNET: 0, BARE: 1, UDP_GSO: 2 } as const;
const HEADERS = (Object.keys(FIELD) as FieldName[]).filter(
  (name) => FIELD[name].at >= FIELD.ethDst.at && !name.startsWith('tun') && !name.startsWith('ct'),
);
const scratch = new Uint8Array(256);

/** The header fields of a key that are not 0, as hex. */
export function headerFields(key: FlowKey): ReferenceKey {
  const found: ReferenceKey = {};
  for (const name of HEADERS) {
    const field = FIELD[name];
    const size = field.bits >>> 3;
    getFieldBytes(key, field, scratch, 0);
    const text = Buffer.from(scratch.buffer, 0, size).toString('hex');
    if (!/^0*$/.test(text)) found[name] = text;
  }
  return found;
}

/** Like headerFields(), of a reference. */
const withoutZeros = (key: ReferenceKey): ReferenceKey =>
  Object.fromEntries(Object.entries(key).filter(([, text]) => !/^0*$/.test(text)));

/** A key that another packet was extracted to before: every header word is set. */
const used = new Int32Array(FLOW_WORDS);

function extract(bytes: Uint8Array, bareType: number, isGso: boolean, fill: number, key: FlowKey) {
  const pkt = placeFrame(sharedArena, 0, bytes, fill);
  pkt.packetType = bareType;
  if (isGso) pkt.gsoType = VNET_GSO.UDP;
  extractMetadata(pkt, key);
  const isGood = extractHeaders(pkt, key);
  return { isGood, l3: pkt.l3, l4: pkt.l4, key };
}

const KNOWN_TYPES = new Set(['0800', '86dd', '0806', '8035', '8847', '8848', '894f', '0004']);
const KNOWN_PROTOCOLS = new Set(['01', '06', '11', '3a', '84', '2c', '3b']);

/** Which fields there are, and of what kinds the headers: not all that they say. */
function featuresOf(key: ReferenceKey, l3: number, l4: number): string[] {
  const { ethType = '', nwProto = '', nwFrag = '00', ipv6Exthdrs = '' } = key;
  const type = KNOWN_TYPES.has(ethType) ? ethType : 'other';
  const proto = KNOWN_PROTOCOLS.has(nwProto) ? nwProto : 'other';
  const fields = HEADERS.filter((name) => key[name] !== undefined && !/^0*$/.test(key[name]));
  return [
    ...fields.map((name) => `${type} ${name}`),
    `${type} ${proto} ${nwFrag} ${fields.includes('tpSrc') || fields.includes('tpDst')}`,
    `${type} at ${Math.min(l3, 40)}`,
    `${proto} behind ${Math.min((l4 - l3) >> 3, 12)}`,
    ...bitsOf(Number.parseInt(ipv6Exthdrs || '0', 16)).map((bit) => `extension ${bit} ${nwFrag}`),
  ];
}

const bitsOf = (set: number): number[] => [0, 1, 2, 3, 4, 5, 6, 7, 8].filter((bit) => (set >> bit) & 1);

export const extractTarget: FuzzTarget = {
  name: 'extract',

  generate(random: Random): Case {
    const whole = frame(random);
    switch (random.below(8)) {
      case 0:
        return [record(KIND.BARE, whole.slice(12))];
      case 1:
        return [record(KIND.UDP_GSO, whole)];
      default:
        return [record(KIND.ETHERNET, whole)];
    }
  },

  run([only]: Case): string[] {
    if (only === undefined) return [];
    const isBare = only[0] === KIND.BARE && only.length >= 3;
    const isGso = only[0] === KIND.UDP_GSO;
    const bareType = isBare ? (only[1]! << 8) | only[2]! : 0;
    const bytes = only.subarray(isBare ? 3 : 1);
    const first = extract(bytes, bareType, isGso, 0x00, newFlowKey());
    const want = referenceKey([...bytes], bareType, isGso);
    check(
      first.isGood === (want !== null),
      () => `extract: ${first.isGood ? 'takes' : 'drops'} what the kernel does not`,
    );
    if (want !== null) {
      const [got, ref] = [headerFields(first.key), withoutZeros(want)];
      const wrong = HEADERS.filter((name) => got[name] !== ref[name]);
      check(wrong.length === 0, () =>
        wrong.map((n) => `extract: ${n} is ${got[n] ?? 0}, want ${ref[n] ?? 0}`).join(', '),
      );
    }
    const size = bytes.length;
    check(
      !first.isGood || (first.l3 <= size && first.l4 <= size),
      () => `extract: l3 ${first.l3}, l4 ${first.l4} of ${size}`,
    );

    used.fill(-1);
    const second = extract(bytes, bareType, isGso, 0xff, used);
    check(first.isGood === second.isGood, 'extract: looks behind the end');
    if (first.isGood) {
      check(first.l3 === second.l3 && first.l4 === second.l4, 'extract: offsets depend on what is behind the end');
      for (let i = 0; i < FLOW_WORDS; i++) {
        check(
          first.key[i] === second.key[i],
          () => `extract: word ${i} depends on what was in the key, or behind the end`,
        );
      }
      check(hashFlow(first.key) !== 0, 'hash is 0');
    }
    return want === null ? [`dropped ${bareType !== 0}`] : featuresOf(want, first.l3, first.l4);
  },
};
