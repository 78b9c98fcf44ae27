/** Reads test/vectors/odp-*.txt: entries `text`, then `=> what is printed of it` where that differs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TextVector {
  readonly input: string;
  readonly output: string;
}

export function readTextVectors(file: string): TextVector[] {
  const out: TextVector[] = [];
  for (const line of readFileSync(join(import.meta.dirname, '../vectors', file), 'utf8').split('\n')) {
    const last = out.at(-1);
    if (line.startsWith('=> ') && last) out[out.length - 1] = { input: last.input, output: line.slice(3) };
    else if (line !== '' && !line.startsWith('#')) out.push({ input: line, output: line });
  }
  return out;
}

export const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
