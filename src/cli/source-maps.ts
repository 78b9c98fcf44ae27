/**
 * Stack traces that name the sources.  Node can do that itself (--enable-source-maps), but reads the map when the program starts, which takes
 * as long as the rest of it; this reads it when there is a trace to make.
 */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join } from 'node:path';

/** From now on, where a stack trace would name a place in `program`, it names that in the source, after the map in `program`.map. */
export function mapStackTraces(program: string): void {
  let map: SourceMap | undefined | null = null;
  const sourceOf = (line: number, column: number): string | undefined => {
    if (map === null) map = readMap(`${program}.map`);
    const entry = map?.findEntry(line - 1, column - 1);
    if (entry === undefined || !('originalSource' in entry)) return undefined;
    return `${join(program, '..', entry.originalSource)}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  };
  Error.prepareStackTrace = (error, frames) => {
    const lines = frames.map((frame) => {
      const text = String(frame);
      const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()];
      if (frame.getFileName() !== program || line === null || column === null) return text;
      const source = sourceOf(line, column);
      return source === undefined ? text : text.replace(`${program}:${line}:${column}`, source);
    });
    return [errorText(error), ...lines].join('\n    at ');
  };
}

function errorText(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

/** Undefined if there is none. */
function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}
