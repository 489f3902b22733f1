import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../infra/build.ts";
import { agentFile } from "../../infra/home.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";

const checkout = join(import.meta.dirname, "..", "..");

/**
 * What one sample takes of a machine: processor time of the agent and of all that it starts, and its peak memory. The
 * floor is an empty program of the same runtime, run in turn with it. The node has no browser: what a look at one adds
 * is the browser's own.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  await build();
  const n = Math.max(3, Math.round(40 * scale));
  const folder = mkdtempSync(join(tmpdir(), "gl-agent-"));
  try {
    const agent = join(folder, "agent.cjs");
    const empty = join(folder, "empty.cjs");
    copyFileSync(agentFile(checkout), agent);
    writeFileSync(empty, "");
    for (const name of ["state", "status"]) mkdirSync(join(folder, name));
    writeFileSync(join(folder, "node.json"), JSON.stringify(node));
    const samples: Run[] = [];
    const floors: Run[] = [];
    say(`${n} samples`);
    for (let i = 0; i < n; i++) {
      floors.push(run(folder, [empty]));
      samples.push(run(folder, [agent, "sample"]));
    }
    const of = (runs: readonly Run[], field: keyof Run): number => median(runs.map((each) => each[field]));
    yield figure("agent", "processor time of one sample", {
      value: of(samples, "cpuMs"),
      unit: "ms",
      floor: of(floors, "cpuMs"),
      n,
    });
    yield figure("agent", "peak memory of one sample", {
      value: of(samples, "peakMib"),
      unit: "MiB",
      floor: of(floors, "peakMib"),
      n,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const node = {
  schema: 1,
  key: "bench/0",
  machineId: "bench",
  everySeconds: 300,
  workload: "none",
  revision: { machine: 1, software: 1 },
  units: [],
  network: null,
  probes: { runtime: { kind: "unit", unit: "none" }, app: null },
};

interface Run {
  readonly cpuMs: number;
  readonly peakMib: number;
}

/** Runs a program once under a shell, whose `times` tells what all its children took. Throws where it failed. */
function run(folder: string, words: readonly string[]): Run {
  const peak = join(folder, "peak");
  const preload = join(import.meta.dirname, "program", "peak-memory.cjs");
  const script = '"$@" > /dev/null || exit 1; times';
  const argv = ["-c", script, "sh", process.execPath, "--max-semi-space-size=1", "--require", preload, ...words];
  const env = { ...process.env, PEAK_MEMORY_FILE: peak, GRADIENTLAB_SUPERVISED: "1" };
  const { status, stdout, stderr } = spawnSync("sh", argv, { env, encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")} failed: ${stderr}`);
  const [, children = ""] = stdout.trim().split("\n");
  const cpuMs = [...children.matchAll(/(\d+)m([\d.]+)s/g)]
    .map(([, minutes, seconds]) => Number(minutes) * 60_000 + Number(seconds) * 1000)
    .reduce((sum, ms) => sum + ms, 0);
  return { cpuMs, peakMib: Number(readFileSync(peak, "utf8")) / 1024 / 1024 };
}
