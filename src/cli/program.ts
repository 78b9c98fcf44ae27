/**
 * The command line as commander reads it.  Each subcommand is a file here that exports a function registering it, or is in passed-on.ts; to
 * add one, add a line to REGISTER or there.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { registerDown } from './down.ts';
import { registerExec } from './exec.ts';
import { registerOfctl } from './ofctl.ts';
import { PASSED_ON } from './passed-on.ts';
import { registerUp } from './up.ts';

const REGISTER: readonly ((program: Command) => void)[] = [
  registerUp,
  registerDown,
  registerPassedOn,
  registerOfctl,
  registerExec,
];

function registerPassedOn(program: Command): void {
  for (const [name, { description, load }] of PASSED_ON) {
    program
      .command(name)
      .description(description)
      .argument('[args...]')
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (_args: string[], _options: unknown, command: Command) => {
        const { main } = await load();
        process.exit(await main(command.args));
      });
  }
}

/** Does what the process's command line says. */
export async function runProgram(): Promise<void> {
  const { version, description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
    description: string;
  };
  const program = new Command('tapswitch').description(description).version(version).enablePositionalOptions();
  for (const register of REGISTER) register(program);
  await program.parseAsync();
}
