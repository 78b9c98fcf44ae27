/** The levels and destinations of log messages, and their names.  Source: include/openvswitch/vlog.h. */

/** From the least to the most that is logged. */
export const LEVELS = ['off', 'emer', 'err', 'warn', 'info', 'dbg'] as const;
export type LogLevel = (typeof LEVELS)[number];
export const rank = (level: LogLevel): number => LEVELS.indexOf(level);

export const LEVEL_NAME: Record<LogLevel, string> = {
  off: 'OFF',
  emer: 'EMER',
  err: 'ERR',
  warn: 'WARN',
  info: 'INFO',
  dbg: 'DBG',
};

/** Severities of RFC 5424; "off" has none that is ever sent. */
export const SEVERITY: Record<LogLevel, number> = { off: 6, emer: 1, err: 3, warn: 4, info: 5, dbg: 7 };

export const DESTINATIONS = ['syslog', 'console', 'file'] as const;
export type LogDestination = (typeof DESTINATIONS)[number];

/** The facilities of RFC 5424 by their names in syslog.conf, already in their place above the severity. */
// biome-ignore format: table
const FACILITIES: Readonly<Record<string, number>> = {
  auth: 4 << 3, authpriv: 10 << 3, cron: 9 << 3, daemon: 3 << 3, ftp: 11 << 3, kern: 0, lpr: 6 << 3, mail: 2 << 3,
  news: 7 << 3, syslog: 5 << 3, user: 1 << 3, uucp: 8 << 3,
  local0: 16 << 3, local1: 17 << 3, local2: 18 << 3, local3: 19 << 3,
  local4: 20 << 3, local5: 21 << 3, local6: 22 << 3, local7: 23 << 3,
};
export const LOG_DAEMON = 3 << 3;
export const LOG_LOCAL0 = 16 << 3;

/** Undefined if there is no facility of that name. */
export function facilityOf(name: string): number | undefined {
  const key = name.toLowerCase();
  return Object.hasOwn(FACILITIES, key) ? FACILITIES[key] : undefined;
}
