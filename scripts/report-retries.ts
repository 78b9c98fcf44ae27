/** A vitest reporter that says at the end of a run which tests passed only when they were tried again, and why they had failed. */
import type { Reporter, TestModule } from 'vitest/node';

export default class ReportRetries implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { retryCount = 0 } = test.diagnostic() ?? {};
        if (retryCount === 0) continue;
        const { state, errors } = test.result();
        console.log(`${state} when tried again: ${module.relativeModuleId} > ${test.fullName}`);
        for (const { message } of errors ?? []) console.log(`    ${message.slice(0, 500)}`);
      }
    }
  }
}
