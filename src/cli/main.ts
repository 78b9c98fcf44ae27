/**
 * The command line, `tapswitch SUBCOMMAND`.  Each subcommand is a file here that exports a function registering it; to add
 * one, add a line to REGISTER.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { registerDatapath } from './datapath.ts';
import { registerDown } from './down.ts';
import { registerDpctl } from './dpctl.ts';
import { registerExec } from './exec.ts';
import { registerOfctl } from './ofctl.ts';
import { registerUp } from './up.ts';
import { registerVswitchd } from './vswitchd.ts';

const REGISTER: readonly ((program: Command) => void)[] = [
  registerUp,
  registerDown,
  registerDatapath,
  registerVswitchd,
  registerDpctl,
  registerOfctl,
  registerExec,
];

const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
  description: string;
};

const program = new Command('tapswitch').description(description).version(version).enablePositionalOptions();
for (const register of REGISTER) register(program);
await program.parseAsync();
