import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // What a virtual machine lives through takes many minutes without hardware's help: suites of the full tier only.
    exclude: [
      ...(process.env.COLLECTOR_HOST === undefined ? ["test/system/collector-host.test.ts"] : []),
      ...(process.env.RECOVERY_MACHINE === undefined ? ["test/system/recovery-machine.test.ts"] : []),
      ...(process.env.MACHINE_LIFE === undefined ? ["test/system/machine-life.test.ts"] : []),
    ],
    globalSetup: ["./test/harness/leftovers.ts"],
    // Far above what anything takes: a slow machine is no failure.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 2,
    reporters: ["default", "./test/harness/reporter.ts"],
  },
});
