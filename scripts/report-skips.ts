/** A vitest reporter that says at the end of a run which tests were skipped and why.  Used by scripts/test. */
import type { Reporter, TestModule } from 'vitest/node';

export default class ReportSkips implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const byReason = new Map<string, string[]>();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const result = test.result();
        const reason = (result.state === 'skipped' ? result.note : undefined) ?? 'no reason given';
        byReason.set(reason, [...(byReason.get(reason) ?? []), test.fullName]);
      }
    }
    for (const [reason, names] of byReason) {
      console.log(`skipped: ${reason}`);
      for (const name of names) console.log(`    ${name}`);
    }
  }
}
