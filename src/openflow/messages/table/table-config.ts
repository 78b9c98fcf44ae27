/**
 * What tables do when they are full or have no flow for a packet: table_mod, table_desc, table_status.
 *
 * ```
 * table_mod     | table 8 | 0 24 | config 32 | (1.4+: properties) |
 * table_desc    | length 16 | table 8 | 0 8 | config 32 | properties |
 * table_status  | reason 8 | 0 56 | table_desc |
 * eviction      | 2 16 | 8 16 | flags 32 |
 * vacancy       | 3 16 | 8 16 | down 8 | up 8 | vacancy 8 | 0 8 |
 * ```
 * The config is what a packet without flow meets in 1.1 and 1.2 (bits 0 and 1), nothing in 1.3, and eviction and vacancy events (bits 2 and
 * 3) from 1.4 on.
 * Source: OpenFlow 1.1.0 A.3.3, 1.4.1 A.3.4.3, A.3.5.8, A.4.5, lib/ofp-table.c.
 */
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import { UNKNOWN32 } from '../flow/flow-types.ts';
import type { TableDesc, TableMiss, TableMod, TableStatus } from '../switch/switch-types.ts';
import { type BodyCodec, type BodyIn, type BodyOut, type Codecs, listCodec, needBytes } from '../wire/body.ts';
import {
  beginProperty,
  eachProperty,
  endProperty,
  type Property,
  propertyU32,
  putPropertyU32,
} from '../wire/properties.ts';

const MISS: readonly TableMiss[] = ['controller', 'continue', 'drop'];
const MISS_MASK = 3;
/** OFPTC14_*. */
export const TABLE_EVICTION = 1 << 2;
export const TABLE_VACANCY_EVENTS = 1 << 3;
/** OFPTMPT14_*. */
const PROP_EVICTION = 2;
const PROP_VACANCY = 3;
const PROP_SIZE = 8;
const DESC_SIZE = 8;
/** OFPTR_*. */
export const TABLE_REASON = { VACANCY_DOWN: 3, VACANCY_UP: 4 } as const;

/** What a config says of packets without flow: only 1.1 and 1.2 do. */
export function decodeTableMiss(config: number, version: OfVersion): TableMiss {
  if (version !== 2 && version !== 3) return 'default';
  return MISS[config & MISS_MASK] ?? 'controller';
}

export function encodeTableMiss(miss: TableMiss, version: OfVersion): number {
  if (version !== 2 && version !== 3) return 0;
  return Math.max(0, MISS.indexOf(miss));
}

function encodeConfig(t: TableDesc, miss: TableMiss, version: OfVersion): number {
  if (version < 5) return encodeTableMiss(miss, version);
  return (t.hasEviction === true ? TABLE_EVICTION : 0) | (t.hasVacancyEvents === true ? TABLE_VACANCY_EVENTS : 0);
}

type Desc = { -readonly [K in keyof TableDesc]: TableDesc[K] };

const newDesc = (tableId: number, config: number, version: OfVersion): Desc => ({
  tableId,
  hasEviction: version < 5 ? undefined : (config & TABLE_EVICTION) !== 0,
  evictionFlags: undefined,
  hasVacancyEvents: version < 5 ? undefined : (config & TABLE_VACANCY_EVENTS) !== 0,
  vacancyDown: 0,
  vacancyUp: 0,
  vacancy: 0,
});

function readVacancy(dv: DataView, p: Property, desc: Desc): void {
  if (p.size !== PROP_SIZE) throw new OfpError(OFPERR.OFPBPC_BAD_LEN, `vacancy property of ${p.size} bytes, want 8`);
  desc.vacancyDown = dv.getUint8(p.dataAt);
  desc.vacancyUp = dv.getUint8(p.dataAt + 1);
  desc.vacancy = dv.getUint8(p.dataAt + 2);
}

/** Reads properties into `desc`; `unknown` is told of others. */
function readProperties(m: BodyIn, at: number, end: number, desc: Desc, unknown: (p: Property) => void): void {
  eachProperty(m.dv, at, end, (p) => {
    if (p.vendor === 0 && p.type === PROP_EVICTION) {
      const flags = propertyU32(m.dv, p);
      desc.evictionFlags = flags === UNKNOWN32 ? undefined : flags;
    } else if (p.vendor === 0 && p.type === PROP_VACANCY) readVacancy(m.dv, p, desc);
    else unknown(p);
  });
}

/** Throws OfpError unless a request may ask for these thresholds. */
function checkVacancy({ vacancyDown, vacancyUp, vacancy }: TableDesc): void {
  if (vacancyDown <= vacancyUp && vacancyUp <= 100 && vacancy === 0) return;
  const what = `vacancy down ${vacancyDown}%, up ${vacancyUp}%, now ${vacancy}%`;
  throw new OfpError(OFPERR.OFPBPC_BAD_VALUE, `table_mod: ${what}`);
}

function putVacancy(out: OfpWriter, desc: TableDesc, vacancy: number): void {
  const at = beginProperty(out, PROP_VACANCY);
  out.u8(desc.vacancyDown);
  out.u8(desc.vacancyUp);
  out.u16(vacancy << 8);
  endProperty(out, at);
}

const tableMod: BodyCodec<TableMod> = {
  decode(m) {
    const { version, dv, at, bytes } = m;
    const config = dv.getUint32(at + 4);
    const desc = newDesc(dv.getUint8(at), config, version);
    if (version >= 5) {
      readProperties(m, at + 8, bytes.length, desc, (p) => {
        throw new OfpError(OFPERR.OFPBRC_BAD_TYPE, `table_mod: property of type ${p.type} at byte ${p.at}`);
      });
      checkVacancy(desc);
    }
    return { ...desc, miss: decodeTableMiss(config, version) };
  },
  encode(tm, { version, out }) {
    out.u32(tm.tableId * 2 ** 24);
    out.u32(encodeConfig(tm, tm.miss, version));
    if (version < 5) return;
    if (tm.evictionFlags !== undefined) putPropertyU32(out, PROP_EVICTION, tm.evictionFlags);
    if (tm.hasVacancyEvents === true) putVacancy(out, tm, 0);
  },
};

function decodeDesc(m: BodyIn, at: number, push: (desc: TableDesc) => void): number {
  needBytes(m, at, DESC_SIZE, 'table description');
  const size = m.dv.getUint16(at);
  if (size < DESC_SIZE) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `table description of ${size} bytes`);
  needBytes(m, at, size, 'table description');
  const desc = newDesc(m.dv.getUint8(at + 2), m.dv.getUint32(at + 4), m.version);
  // A switch may tell of more than is known here.
  readProperties(m, at + DESC_SIZE, at + size, desc, () => {});
  push(desc);
  return at + size;
}

/** `isWhole`: with all properties, as table_status has them, whether they say anything or not. */
function encodeDesc(desc: TableDesc, { version, out }: BodyOut, isWhole: boolean): void {
  const at = out.room(DESC_SIZE);
  out.dv.setUint8(at + 2, desc.tableId);
  out.dv.setUint32(at + 4, encodeConfig(desc, 'default', version));
  const { evictionFlags } = desc;
  if (isWhole || evictionFlags !== undefined) putPropertyU32(out, PROP_EVICTION, evictionFlags ?? UNKNOWN32);
  if (isWhole || desc.hasVacancyEvents === true) putVacancy(out, desc, desc.vacancy);
  out.dv.setUint16(at, out.size - at);
}

const tableStatus: BodyCodec<TableStatus> = {
  decode(m) {
    const reason = m.dv.getUint8(m.at);
    if (reason !== TABLE_REASON.VACANCY_DOWN && reason !== TABLE_REASON.VACANCY_UP) {
      throw new OfpError(OFPERR.OFPBPC_BAD_VALUE, `table_status: reason ${reason}, want 3 or 4`);
    }
    const found: TableDesc[] = [];
    decodeDesc(m, m.at + 8, (desc) => {
      found.push(desc);
    });
    return { reason, desc: found[0] as TableDesc };
  },
  encode({ reason, desc }, m) {
    const at = m.out.room(8);
    m.out.dv.setUint8(at, reason);
    encodeDesc(desc, m, true);
  },
};

export const TABLE_CONFIG_CODECS = {
  table_mod: tableMod,
  table_desc_reply: listCodec(decodeDesc, (desc, m) => encodeDesc(desc, m, false)),
  table_status: tableStatus,
} satisfies Partial<Codecs>;
