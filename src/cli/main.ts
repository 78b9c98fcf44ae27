/**
 * The command line, `tapswitch SUBCOMMAND`: a program of its own (passed-on.ts) gets its words as they are; for all others program.ts reads them.
 */
import { PASSED_ON } from './passed-on.ts';

async function run([subcommand = '', ...rest]: readonly string[]): Promise<void> {
  const passedOn = PASSED_ON.get(subcommand);
  if (passedOn !== undefined) {
    const { main } = await passedOn.load();
    process.exit(await main(rest));
  }
  const { runProgram } = await import('./program.ts');
  await runProgram();
}

void run(process.argv.slice(2));
