/**
 * Names of fields, many of which differ at their end only: `tcp_{src,dst} reg0...reg15`.
 * Source: lib/ofp-table.c (print_names).
 */

/** How far `a` and `b` are the same, up to and with an underscore. */
function commonPrefix(a: string, b: string): number {
  let size = 0;
  for (let i = 0; i < a.length && a[i] === b[i]; i++) if (a[i] === '_') size = i + 1;
  return size;
}

/** Whether `b` is `a` with a number that is one higher at its end. */
function isNext(a: string, b: string): boolean {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  const [x, y] = [a.slice(i), b.slice(i)];
  return /^\d{1,9}$/.test(x) && /^\d{1,9}$/.test(y) && Number(x) + 1 === Number(y);
}

/** How many names at the beginning are numbered on; two are none. */
function numberedRun(names: readonly string[]): number {
  let n = 1;
  while (n < names.length && isNext(names[n - 1] as string, names[n] as string)) n++;
  return n === 2 ? 1 : n;
}

/** How many names at the beginning share a prefix with the first, beyond the first `skip` characters; and the prefix's length. */
function prefixedRun(names: readonly string[], skip: number): { readonly run: number; readonly prefix: number } {
  const [first = '', second] = names.map((name) => name.slice(skip));
  if (second === undefined) return { run: names.length, prefix: 0 };
  const prefix = commonPrefix(first, second);
  if (prefix === 0) return { run: 1, prefix: 0 };
  let run = 2;
  while (run < names.length && commonPrefix(first, (names[run] as string).slice(skip)) !== 0) run++;
  return { run, prefix };
}

/** The names in short, without their first `skip` characters, which are the same. */
export function formatNames(names: readonly string[], skip = 0): string {
  const groups: string[] = [];
  for (let rest = names; rest.length > 0; ) {
    const { run: prefixed, prefix } = prefixedRun(rest, skip);
    const numbered = numberedRun(rest);
    const run = Math.max(prefixed, numbered);
    const part = (name: string | undefined): string => name?.slice(skip) ?? '';
    if (numbered >= prefixed) groups.push(run > 1 ? `${part(rest[0])}...${part(rest[run - 1])}` : part(rest[0]));
    else groups.push(`${part(rest[0]).slice(0, prefix)}{${formatNames(rest.slice(0, run), skip + prefix)}}`);
    rest = rest.slice(run);
  }
  return groups.join(skip > 0 ? ',' : ' ');
}
