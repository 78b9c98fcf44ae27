import { describe, expect, test } from 'vitest';
import { getopt, type LongOption } from '../../src/cli/getopt.ts';

const OPTIONS: readonly LongOption[] = [
  { name: 'statistics', argument: 'none', short: 's' },
  { name: 'may-create', argument: 'none' },
  { name: 'more', argument: 'none', short: 'm' },
  { name: 'names', argument: 'none' },
  { name: 'timeout', argument: 'required', short: 't' },
  { name: 'verbose', argument: 'optional', short: 'v' },
];

function run(line: string): { given: string[]; rest: string[] } {
  const rest: string[] = [];
  const given: string[] = [];
  for (const o of getopt(line === '' ? [] : line.split(' '), OPTIONS, rest)) {
    given.push(o.error === undefined ? `${o.name}${o.value === undefined ? '' : `=${o.value}`}` : `! ${o.error}`);
    if (o.error !== undefined) break;
  }
  return { given, rest };
}

// biome-ignore format: table
const CASES = [
  { line: '',                        given: [],                              rest: [] },
  { line: 'show -s dp0',             given: ['statistics'],                  rest: ['show', 'dp0'] },
  { line: '-ms -m x',                given: ['more', 'statistics', 'more'],  rest: ['x'] },
  { line: '--stat show',             given: ['statistics'],                  rest: ['show'] },
  { line: '--mor a --may b',         given: ['more', 'may-create'],          rest: ['a', 'b'] },
  { line: '-t5 -t 6 --timeout=7 --timeout 8', given: ['timeout=5', 'timeout=6', 'timeout=7', 'timeout=8'], rest: [] },
  { line: '-v -vdbg -v dbg',         given: ['verbose', 'verbose=dbg', 'verbose'], rest: ['dbg'] },
  { line: '--verbose --verbose=x y', given: ['verbose', 'verbose=x'],        rest: ['y'] },
  { line: '-sv1 -s',                 given: ['statistics', 'verbose=1', 'statistics'], rest: [] },
  { line: 'a - -- -s b',             given: [],                              rest: ['a', '-', '-s', 'b'] },
  { line: 'a -x',                    given: ["! invalid option -- 'x'"],     rest: ['a'] },
  { line: '-sx',                     given: ['statistics', "! invalid option -- 'x'"], rest: [] },
  { line: '--foo',                   given: ["! unrecognized option '--foo'"], rest: [] },
  { line: '--statistics=1',          given: ["! option '--statistics' doesn't allow an argument"], rest: [] },
  { line: '--m',                     given: ["! option '--m' is ambiguous; possibilities: '--may-create' '--more'"], rest: [] },
  { line: '-t',                      given: ["! option requires an argument -- 't'"], rest: [] },
  { line: '--timeout',               given: ["! option '--timeout' requires an argument"], rest: [] },
];

describe('getopt', () => {
  test.each(CASES)('"$line"', ({ line, given, rest }) => {
    expect(run(line)).toEqual({ given, rest });
  });
});
