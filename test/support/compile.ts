/** compileActions() on a list of bytes. */
import type { ActionProgram } from '../../src/datapath/actions/action-program.ts';
import { compileActions } from '../../src/datapath/actions/compile-actions.ts';
import type { FlowKey } from '../../src/flow/flow-key.ts';

export interface CompileTestOptions {
  kernel?: number;
}

export function compileList(list: readonly number[], key: FlowKey, options: CompileTestOptions = {}): ActionProgram {
  // Not at offset 0 of its buffer, as in a message.
  const bytes = new Uint8Array(list.length + 12);
  bytes.set(list, 8);
  return compileActions(new DataView(bytes.buffer, 4), 4, list.length, key, options.kernel);
}
