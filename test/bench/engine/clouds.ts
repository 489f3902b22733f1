import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import { checkout, type Home } from "../../../infra/engine/environment.ts";
import { runPulumi } from "../../../infra/engine/stack.ts";
import { azure, fleetOf, google, makeFleetProject, oracle } from "../../infra/stand-in/fleet-project.ts";
import { type BenchContext, type Figure, figure, median, paired, timed } from "../figure.ts";
import type { Registered } from "../program/monitor.ts";

const programs = join(checkout, "test", "bench", "program");
const groups = { gcp: google, azure, oci: { ...oracle, size: "e4-1-2" } };
/** No cloud is to be full: what is measured is the engine and the program. */
const quotas = {
  gcp: { CPUS: 1e6, IN_USE_ADDRESSES: 1e6, INSTANCES: 1e6 },
  "azure-native": { "Total Regional Cores": 1e6 },
};

interface Measured {
  readonly ms: number;
  readonly bytes: number;
}

/**
 * Unchanged previews of machines on stand-in clouds, against a program that declares the same resources from literals: both
 * have the same engine, plugins and state. Memory is the program's, at its peak.
 */
export async function* onClouds({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const [some, many] = [100, 1000].map((count) => Math.round(count * scale)) as [number, number];
  const project = await makeFleetProject();
  const plain = join(project.folder, "literals");
  const literals = join(plain, "literals.json");
  mkdirSync(plain);
  writeFileSync(
    join(plain, "Pulumi.yaml"),
    readFileSync(join(project.folder, "Pulumi.yaml"), "utf8").replace(
      /^main: .*$/m,
      () => `main: ${JSON.stringify(join(programs, "literals", "index.js"))}`,
    ),
  );
  const peak = join(project.folder, "peak");
  const place: Home = {
    ...project.place,
    env: {
      ...project.place.env,
      LITERALS: literals,
      NODE_OPTIONS: `--require ${join(programs, "peak-memory.cjs")}`,
      PEAK_MEMORY_FILE: peak,
      PEAK_MEMORY_OF: createRequire(import.meta.url).resolve("@pulumi/pulumi/cmd/run"),
    },
  };
  const preview = async (folder: string): Promise<Measured> => {
    const ms = await timed(async () => {
      const words = ["preview", "--stack", "dev", "--expect-no-changes", "--non-interactive", "--color", "never"];
      const { code, output } = await runPulumi(place, words, { folder });
      if (code !== 0) throw new Error(output);
    });
    return { ms, bytes: Number(readFileSync(peak, "utf8")) };
  };

  // What is measured comes later: the state is written once, and not anew after each of thousands of resources.
  const writtenOnce = { PULUMI_EXPERIMENTAL: "true", PULUMI_SKIP_CHECKPOINTS: "true" };
  const up = async (): Promise<void> => {
    const words = ["up", "--yes", "--skip-preview", "--stack", "dev", "--non-interactive", "--color", "never"];
    const once: Home = { ...project.place, env: { ...project.place.env, ...writtenOnce } };
    const { code, output } = await runPulumi(once, words, { folder: project.folder });
    if (code !== 0) throw new Error(output);
  };

  const times: number[] = [];
  try {
    await project.scenario({ quotas });
    for (const [cloud, count] of [
      ["gcp", some],
      ["azure", some],
      ["oci", some],
      ["oci", many],
    ] as const) {
      say(`${count} machines on ${cloud}`);
      const phases = { try: { budgetUsdPerMonth: 1_000_000 } };
      project.configureFleet(fleetOf({ bench: { ...groups[cloud], count } }, { phases }));
      await up();
      const state = await project.pulumi(["stack", "export", "--show-secrets"]);
      writeFileSync(literals, JSON.stringify(registeredIn(state.output)));
      copyFileSync(join(project.folder, "Pulumi.dev.yaml"), join(plain, "Pulumi.dev.yaml"));
      const n = Math.max(1, Math.round((count === many ? 5 : 9) * scale));
      const { a, b } = await paired(
        n,
        () => preview(project.folder),
        () => preview(plain),
      );
      const [ms, floorMs] = [a, b].map((all) => median(all.map((each) => each.ms))) as [number, number];
      const [bytes, floorBytes] = [a, b].map((all) => median(all.map((each) => each.bytes))) as [number, number];
      if (cloud === "oci") times.push(ms);
      const what = `${count} machines on ${cloud}, against the same resources from literals`;
      const [time, memory] = [
        { value: ms / 1000, floor: floorMs / 1000, unit: "s" },
        { value: bytes / 1e6, floor: floorBytes / 1e6, unit: "MB" },
      ];
      yield figure("engine", `unchanged preview, ${what}`, { ...time, n, target: "ratio <= 1.25" });
      yield figure("engine", `the program's peak memory in it, ${what}`, { ...memory, n, target: "ratio <= 1.3" });
    }
  } finally {
    // Nothing of it runs: what the clouds hold is in the folder.
    rmSync(project.folder, { recursive: true });
  }
  yield figure("engine", `unchanged preview of ${many} machines over that of ${some}`, {
    value: (times[1] ?? Number.NaN) / (times[0] ?? Number.NaN),
    unit: "times",
    n: times.length,
    target: "value <= 12",
  });
}

const State = z.object({
  deployment: z.object({
    resources: z.array(
      z.object({
        urn: z.string(),
        type: z.string(),
        custom: z.boolean(),
        id: z.string().optional(),
        inputs: z.record(z.string(), z.unknown()).default({}),
        parent: z.string().optional(),
        provider: z.string().optional(),
        ignoreChanges: z.array(z.string()).optional(),
        replaceOnChanges: z.array(z.string()).optional(),
        replacementTrigger: z.unknown().optional(),
      }),
    ),
  }),
});

/** Returns the resources of an exported state, but for those that the engine makes itself: the stack and its own providers. */
function registeredIn(exported: string): Registered[] {
  const { resources } = State.parse(JSON.parse(exported)).deployment;
  const own = resources.filter(({ urn }) => !/::pulumi:(?:pulumi:Stack|providers:[^:$]*::default)/.test(urn));
  const places = new Map(own.flatMap(({ urn, id }, place) => [urn, `${urn}::${id}`].map((name) => [name, place])));
  const placeOf = (name = ""): number | null => places.get(name) ?? null;
  return own.map(({ urn, type, custom, inputs, parent, provider, ...options }) => ({
    type,
    name: urn.split("::").slice(3).join("::"),
    custom,
    inputs: declared(type, inputs),
    parent: placeOf(parent),
    provider: placeOf(provider),
    options: {
      ignoreChanges: options.ignoreChanges,
      replaceOnChanges: options.replaceOnChanges,
      replacementTrigger: options.replacementTrigger,
    },
  }));
}

/** Returns inputs as a program declares them: without what the check of our own plugin adds, and a cloud's settings no texts. */
function declared(type: string, inputs: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { record: _record, after: _after, held: _held, ...own } = inputs;
  if (!type.startsWith("pulumi:providers:")) return own;
  return Object.fromEntries(
    Object.entries(own).map(([name, value]) => [
      name,
      value === "true" || value === "false" ? value === "true" : value,
    ]),
  );
}
