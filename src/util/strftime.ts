/**
 * Times as text by a format of strftime(3), in English, and with "#" for a digit of the fraction of a second, as log patterns of Open
 * vSwitch have it.  Source: strftime(3), lib/timeval.c (strftime_msec).
 */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

const two = (n: number, pad = '0'): string => String(n).padStart(2, pad);

/** `at` is wall-clock ms since 1970; `isUtc` chooses between that and the local time of this process. */
export function strftime(format: string, at: number, isUtc: boolean): string {
  // The getters of UTC do for local time, too, on an instant that is shifted by as much as local time is ahead.
  const offsetMin = isUtc ? 0 : -new Date(at).getTimezoneOffset();
  const d = new Date(at + offsetMin * 60_000);
  const text = format.replace(/%(.)/g, (all, letter: string) => field(letter, d, at, offsetMin) ?? all);
  let fraction = d.getUTCMilliseconds();
  // As in Open vSwitch: the first "#" is tenths, the next one hundredths, and so on.
  return text.replace(/#/g, () => {
    const digit = Math.floor(fraction / 100);
    fraction = (fraction % 100) * 10;
    return String(digit);
  });
}

function field(letter: string, d: Date, at: number, offsetMin: number): string | undefined {
  const again = (format: string) => format.replace(/%(.)/g, (_, c: string) => field(c, d, at, offsetMin) ?? '');
  const hour12 = d.getUTCHours() % 12 || 12;
  // biome-ignore format: table
  switch (letter) {
    case 'a': return DAYS[d.getUTCDay()]?.slice(0, 3);
    case 'A': return DAYS[d.getUTCDay()];
    case 'b': case 'h': return MONTHS[d.getUTCMonth()]?.slice(0, 3);
    case 'B': return MONTHS[d.getUTCMonth()];
    case 'd': return two(d.getUTCDate());
    case 'e': return two(d.getUTCDate(), ' ');
    case 'F': return again('%Y-%m-%d');
    case 'H': return two(d.getUTCHours());
    case 'I': return two(hour12);
    case 'j': return String(1 + Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / 86_400_000)).padStart(3, '0');
    case 'm': return two(d.getUTCMonth() + 1);
    case 'M': return two(d.getUTCMinutes());
    case 'n': return '\n';
    case 'p': return d.getUTCHours() < 12 ? 'AM' : 'PM';
    case 's': return String(Math.floor(at / 1000));
    case 'S': return two(d.getUTCSeconds());
    case 't': return '\t';
    case 'T': return again('%H:%M:%S');
    case 'D': return again('%m/%d/%y');
    case 'R': return again('%H:%M');
    case 'y': return two(d.getUTCFullYear() % 100);
    case 'Y': return String(d.getUTCFullYear());
    case 'z': return `${offsetMin < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offsetMin) / 60))}${two(Math.abs(offsetMin) % 60)}`;
    case '%': return '%';
    default: return undefined;
  }
}
