import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";

declare module "vitest" {
  interface TaskMeta {
    /** What a test measured, by names that say the unit. */
    figures?: Readonly<Record<string, number>>;
  }
}

/**
 * Prints the time of every suite, every skip with its reason, and the closing line `N passed, N failed, N skipped`.
 * The same line goes to the file named by `GRADIENTLAB_TEST_SUMMARY`, so that a longer run can end with it, and what tests
 * measured goes to `GRADIENTLAB_TEST_FIGURES` as JSON.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const cases = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => cases.filter((test) => test.result().state === state).length;
    // What a suite's own set-up or end threw stands with the suite, and its tests are skipped, not failed.
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = suites.filter((suite) => suite.errors().length > 0).length + unhandled.length;
    const skipped = cases.filter((test) => test.result().state === "skipped");

    process.stdout.write("\nTime by suite:\n");
    for (const module of modules.toSorted((a, b) => b.diagnostic().duration - a.diagnostic().duration)) {
      const seconds = (module.diagnostic().duration / 1000).toFixed(1);
      process.stdout.write(`  ${seconds.padStart(7)} s  ${relative(process.cwd(), module.moduleId)}\n`);
    }
    const figures = Object.assign({}, ...cases.map((test) => test.meta().figures ?? {})) as Record<string, number>;
    for (const [name, value] of Object.entries(figures)) process.stdout.write(`${name}: ${value}\n`);
    for (const test of skipped) process.stdout.write(`skipped: ${test.fullName}: ${reason(test)}\n`);
    const line = `${count("passed")} passed, ${count("failed") + broken} failed, ${skipped.length} skipped`;
    const file = process.env.GRADIENTLAB_TEST_SUMMARY;
    if (file !== undefined) writeFileSync(file, `${line}\n`);
    const kept = process.env.GRADIENTLAB_TEST_FIGURES;
    if (kept !== undefined) writeFileSync(kept, `${JSON.stringify(figures)}\n`);
    process.stdout.write(`\n${line}\n`);
    // Root can install whatever a test needs: in a whole run there is no good reason to leave one out.
    if (process.env.CI !== undefined && process.getuid?.() === 0 && skipped.length > 0) process.exitCode = 1;
  }
}

function reason(test: TestCase): string {
  const result = test.result();
  return (result.state === "skipped" ? result.note : undefined) ?? "no reason was given";
}
