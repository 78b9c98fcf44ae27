/** The recordings of the real module's netlink messages that lie beside the checkout, where they do. */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const GOLDEN_DIR = new URL('../../../shared/golden/', import.meta.url).pathname;
export const hasGolden = existsSync(`${GOLDEN_DIR}netlink.jsonl.gz`);

export interface GoldenMessage {
  readonly scenario: string;
  /** The shell command that led to it. */
  readonly step: string;
  readonly direction: 'request' | 'reply' | 'upcall' | 'notification';
  readonly family: string;
  readonly cmd: string;
  readonly hex: string;
  readonly errno?: number;
}

/** All messages of a recording, in order. */
export function readGolden(file = 'netlink.jsonl.gz'): GoldenMessage[] {
  const text = gunzipSync(readFileSync(GOLDEN_DIR + file)).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as GoldenMessage);
}

/** The commands of a scenario, one a line, without comments. */
export function readCommands(scenario: string): string[] {
  const text = readFileSync(`${GOLDEN_DIR}cases/${scenario}.cmds`, 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
