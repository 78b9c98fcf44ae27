/**
 * Meters as text: what `ovs-ofctl add-meter` reads and `dump-meters` prints.
 *
 *     meter=1 pktps burst bands=type=drop rate=1 burst_size=2
 *
 * Source: lib/ofp-meter.c (parse_ofp_meter_mod_str, ofputil_format_meter_*), ovs-ofctl(8) "Meter Syntax".
 */
import { METER, type MeterBand, type MeterConfig, type MeterMod } from './messages/switch/switch-types.ts';
import { OFPUTIL_P } from './ofp-protocol.ts';
import { OfpTextError, parseU8, parseU32 } from './ofp-text.ts';

/** OFPMC13_*. */
export const METER_COMMAND = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
/** OFPMF13_*, in the order of their text. */
const FLAGS = { kbps: 1, pktps: 2, burst: 4, stats: 8 } as const;
/** OFPMBT13_*. */
const BAND_TYPES = { drop: 1, dscp_remark: 2 } as const;
const NAMED = { all: METER.ALL, controller: METER.CONTROLLER, slowpath: METER.SLOWPATH } as const;

export interface ParsedMeter {
  readonly meterMod: MeterMod;
  /** OFPUTIL_P bits of the protocols that can say it. */
  readonly usableProtocols: number;
}

type BandDraft = { -readonly [K in keyof MeterBand]: MeterBand[K] };

const fail = (message: string): never => {
  throw new OfpTextError(message);
};

/** Words, where those in `alone` stand by themselves and the others have a value. */
function* pairs(text: string, alone: (word: string) => boolean): Generator<readonly [string, string | undefined]> {
  let at = 0;
  /** As strtok_r() goes through the text: to the end of the next run of characters that are not in `ends`. */
  const next = (ends: string): string | undefined => {
    while (at < text.length && ends.includes(text[at] as string)) at++;
    if (at >= text.length) return undefined;
    const from = at;
    while (at < text.length && !ends.includes(text[at] as string)) at++;
    const word = text.slice(from, at);
    at++;
    return word;
  };
  for (let name = next('=, \t\r\n'); name !== undefined; name = next('=, \t\r\n')) {
    yield alone(name) ? [name, undefined] : [name, next(', \t\r\n') ?? fail(`field ${name} missing value`)];
  }
}

function parseMeterId(text: string): number {
  if (Object.hasOwn(NAMED, text)) return NAMED[text as keyof typeof NAMED];
  const id = parseU32(text);
  return id > METER.MAX || id === 0 ? fail('invalid value for meter') : id;
}

function parseBands(text: string): BandDraft[] {
  const bands: BandDraft[] = [];
  for (const [name, value = ''] of pairs(text, () => false)) {
    const band = bands[bands.length - 1];
    if (name === 'type') {
      const type = Object.hasOwn(BAND_TYPES, value) ? BAND_TYPES[value as keyof typeof BAND_TYPES] : undefined;
      if (type === undefined) return fail(`field ${name} unknown value ${value}`);
      bands.push({ type, rate: 0, burstSize: 0, precLevel: 0 });
    } else if (band === undefined) fail("band must start with the 'type' keyword");
    else if (name === 'rate') band.rate = parseU32(value);
    else if (name === 'burst_size') band.burstSize = parseU32(value);
    else if (name === 'prec_level') band.precLevel = parseU8(value, name);
    else fail(`unknown keyword ${name}`);
  }
  return bands.length === 0 ? fail('meter must have bands') : bands;
}

function checkBand(band: MeterBand, flags: number): void {
  const isRemark = band.type === BAND_TYPES.dscp_remark;
  const hasBurst = (flags & FLAGS.burst) !== 0;
  if (isRemark && band.precLevel === 0) fail("'dscp_remark' band must have 'prec_level'");
  if (!isRemark && band.precLevel !== 0) fail("Only 'dscp_remark' band may have 'prec_level'");
  if (band.rate === 0) fail("band must have 'rate'");
  if (hasBurst && band.burstSize === 0) fail("band must have 'burst_size' when 'burst' flag is set");
  if (!hasBurst && band.burstSize !== 0) fail("band may have 'burst_size' only when 'burst' flag is set");
}

/** Cuts off what stands behind "band" or "bands" and "=". */
function splitBands(text: string): { readonly head: string; readonly bands: string } {
  const at = text.indexOf('band');
  const equals = at < 0 ? -1 : text.indexOf('=', at);
  return equals < 0 ? fail('must specify bands') : { head: text.slice(0, at), bands: text.slice(equals + 1) };
}

/** Reads a meter_mod, or for `request` what meters are asked for.  Throws OfpTextError. */
export function parseMeterMod(text: string, command: number | 'request'): ParsedMeter {
  const hasBands = command === METER_COMMAND.ADD || command === METER_COMMAND.MODIFY;
  const { head, bands } = hasBands ? splitBands(text) : { head: text, bands: '' };
  let meterId = 0;
  let flags = 0;
  for (const [name, value] of pairs(head, (word) => hasBands && Object.hasOwn(FLAGS, word))) {
    if (value === undefined) flags |= FLAGS[name as keyof typeof FLAGS];
    else if (name === 'meter') meterId = parseMeterId(value);
    else fail(`unknown keyword ${name}`);
  }
  if (meterId === 0) fail("must specify 'meter'");
  if (hasBands && flags === 0) fail("meter must specify either 'kbps' or 'pktps'");
  const list = hasBands ? parseBands(bands) : [];
  for (const band of list) checkBand(band, flags);
  const meterMod = { command: command === 'request' ? METER_COMMAND.ADD : command, meterId, flags, bands: list };
  return { meterMod, usableProtocols: OFPUTIL_P.OF13_UP };
}

/** "meter=1", "meter:all". */
export function formatMeterId(id: number, separator = '='): string {
  const name = Object.entries(NAMED).find(([, n]) => n === id)?.[0];
  return `meter${separator}${id <= METER.MAX ? id : (name ?? 'unknown')}`;
}

function formatFlags(flags: number): string {
  let rest = flags;
  let text = '';
  for (const [name, bit] of Object.entries(FLAGS)) {
    if ((flags & bit) !== 0) text += `${name} `;
    rest &= ~bit;
  }
  return rest === 0 ? text : `${text}flags:0x${rest.toString(16)} `;
}

function formatBand(band: MeterBand, flags: number): string {
  const type = Object.entries(BAND_TYPES).find(([, n]) => n === band.type)?.[0] ?? band.type;
  const burst = (flags & FLAGS.burst) === 0 ? '' : ` burst_size=${band.burstSize}`;
  const level = band.type === BAND_TYPES.dscp_remark ? ` prec_level=${band.precLevel}` : '';
  return `\ntype=${type} rate=${band.rate}${burst}${level}`;
}

/** A meter: "meter=1 kbps bands=", and a line for each band. */
export const formatMeterConfig = ({ meterId, flags, bands }: MeterConfig): string =>
  `${formatMeterId(meterId)} ${formatFlags(flags)}bands=${bands.map((b) => formatBand(b, flags)).join('')}\n`;

const COMMAND_NAMES = ['ADD', 'MOD', 'DEL'] as const;

/** A meter_mod as ovs-ofctl prints it after the message's name: " ADD meter=1 kbps bands=...". */
export const formatMeterMod = (mm: MeterMod): string =>
  ` ${COMMAND_NAMES[mm.command] ?? `cmd:${mm.command}`} ${formatMeterConfig(mm)}`;
