import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { ExplainedError } from "./problem.ts";

/**
 * Returns the checkout that `inside` lies in: the nearest folder above it with the workloads. Sources and compiled
 * files lie at different depths. Throws `no-checkout` where there is none.
 */
export function checkoutOf(inside: string): string {
  for (let folder = inside; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "cloud-init", "workloads"))) return folder;
    if (folder === dirname(folder))
      throw new ExplainedError(
        "no-checkout",
        `${inside} lies in no checkout of the project.`,
        "Keep the compiled files in infra/bin.",
      );
  }
}

/** Returns the home folder: `GRADIENTLAB_HOME`, or `.gradientlab` in the checkout. */
export function homeOf(checkout: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env.GRADIENTLAB_HOME ?? join(checkout, ".gradientlab");
}

/** Returns the agent's program as `build` compiles it: one file for the Node.js of any distribution we run on. */
export function agentFile(checkout: string): string {
  return join(checkout, "infra", "bin", "node", "agent.cjs");
}

/** Returns the file of the collector's systemd unit. */
export function collectorUnitFile(checkout: string): string {
  return join(checkout, "deploy", "systemd", "gradientlab-collector.service");
}
