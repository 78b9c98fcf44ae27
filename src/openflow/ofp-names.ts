/**
 * Ports and tables in text: numbers, names of reserved ports, and names that a switch gave its ports and tables (`--names`).
 * Source: lib/ofp-port.c, lib/ofp-table.c, lib/namemap.c, ovs-ofctl(8).
 */
import { OFPERR, OfpError } from './ofp-errors.ts';
import { OFPP } from './ofp-port.ts';
import { scanNumber } from './ofp-text.ts';

/** Names of ports, or of tables.  A name that two have names none. */
export class NameMap {
  private readonly byNumber = new Map<number, string>();
  private readonly byName = new Map<string, number>();
  private readonly ambiguous = new Set<string>();

  set(number: number, name: string): void {
    if (this.byNumber.has(number)) return;
    if (this.byName.has(name)) this.ambiguous.add(name);
    this.byNumber.set(number, name);
    this.byName.set(name, number);
  }

  nameOf(number: number): string | undefined {
    const name = this.byNumber.get(number);
    return name === undefined || this.ambiguous.has(name) ? undefined : name;
  }

  numberOf(name: string): number | undefined {
    return this.ambiguous.has(name) ? undefined : this.byName.get(name);
  }
}

/** What names the text of a match or of actions may have; none without. */
export interface OfpNames {
  readonly ports?: NameMap;
  readonly tables?: NameMap;
}

const quoted = (name: string): string => (/^[a-zA-Z][a-zA-Z0-9]*$/.test(name) ? name : JSON.stringify(name));

function numberOfName(text: string, names: NameMap | undefined): number | undefined {
  if (names === undefined) return undefined;
  if (!text.startsWith('"')) return names.numberOf(text);
  try {
    const name: unknown = JSON.parse(text);
    return typeof name === 'string' ? names.numberOf(name) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // An unfinished string names nothing.
    throw error;
  }
}

/** OpenFlow 1.1 and later have ports of 32 bits, the reserved ones at the end: they are those of 16 bits plus this. */
const OFPP11_OFFSET = 0xffff0000;
const OFPP11_MAX = 0xffffff00;

// biome-ignore format: table
const RESERVED = new Map<string, number>([
  ['IN_PORT', OFPP.IN_PORT], ['TABLE', OFPP.TABLE], ['NORMAL', OFPP.NORMAL], ['FLOOD', OFPP.FLOOD], ['ALL', OFPP.ALL],
  ['CONTROLLER', OFPP.CONTROLLER], ['LOCAL', OFPP.LOCAL], ['ANY', OFPP.NONE], ['UNSET', OFPP.UNSET], ['NONE', OFPP.NONE],
]);
const RESERVED_NAME = new Map<number, string>(
  [...RESERVED].filter(([name]) => name !== 'NONE').map(([name, port]) => [port, name]),
);

/** A port as the stock tools read it: a number of 16 bits or of OpenFlow 1.1's 32, or a name; undefined if it is none. */
export function parsePort(text: string, names?: NameMap): number | undefined {
  if (text.startsWith('-')) return undefined;
  const n = scanNumber(text, 10);
  if (n !== undefined && n.rest === '' && n.value >= 0n && n.value <= 0xffffffffn) {
    const port = Number(n.value);
    if (port <= 0xffff) return port;
    return port < OFPP11_MAX ? undefined : port - OFPP11_OFFSET;
  }
  return RESERVED.get(text.toUpperCase()) ?? numberOfName(text, names);
}

/** "LOCAL", "ANY" for 65535, the name that the switch gave it (quoted if need be), or its number. */
export function formatPort(port: number, names?: NameMap): string {
  const reserved = RESERVED_NAME.get(port);
  if (reserved !== undefined) return reserved;
  const name = names?.nameOf(port);
  return name === undefined ? String(port) : quoted(name);
}

/** The number of a table, 0 to 255; undefined if `text` is none. */
export function parseTable(text: string, names?: NameMap): number | undefined {
  if (text.startsWith('-')) return undefined;
  const n = scanNumber(text, 10);
  if (n !== undefined && n.rest === '' && n.value >= 0n && n.value <= 0xffffffffn) {
    return n.value > 255n ? undefined : Number(n.value);
  }
  return numberOfName(text, names);
}

export function formatTable(table: number, names?: NameMap): string {
  const name = names?.nameOf(table);
  return name === undefined ? String(table) : quoted(name);
}

/** The 16-bit port of a 32-bit one of OpenFlow 1.1 and later.  Throws OfpError (OFPBAC_BAD_OUT_PORT) for one in between. */
export function portFromOfp11(port: number): number {
  if (port < OFPP.MAX) return port;
  if (port >= OFPP11_MAX) return port - OFPP11_OFFSET;
  throw new OfpError(OFPERR.OFPBAC_BAD_OUT_PORT, `port ${port} is outside the supported range`);
}

/** The 32-bit port of OpenFlow 1.1 and later of a 16-bit one. */
export const portToOfp11 = (port: number): number => (port < OFPP.MAX ? port : port + OFPP11_OFFSET);
