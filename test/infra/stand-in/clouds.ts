import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../../infra/build.ts";
import { ensureCli } from "../../../infra/engine/cli.ts";
import { cacheFolder, checkout, ensureHome, type Home } from "../../../infra/engine/environment.ts";
import { ensureStack, type PulumiRun, runPulumi } from "../../../infra/engine/stack.ts";
import { placeStandIns, setScenario, worldOf } from "../../../infra/stand-in/plugins.ts";
import type { WrittenScenario } from "../../../infra/stand-in/scenario.ts";
import { type CallRecord, type Kept, openWorld } from "../../../infra/stand-in/world.ts";
import { untilNothingRuns } from "../../harness/checkout.ts";

/** A resource of a test's program: a class of a cloud's SDK, its arguments, and its options. `$vcn.id` is an output. */
export interface Declared {
  readonly module: string;
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A project of a test on stand-in clouds, with the real engine and the real SDKs. */
export interface CloudProject {
  readonly place: Home;
  /** Replaces the program by one that declares these. Every output of theirs is the stack's. */
  declare(resources: readonly Declared[]): void;
  scenario(scenario: Omit<WrittenScenario, "schema">): Promise<void>;
  /** Runs `pulumi`, without asking and without a preview before it. */
  up(...args: readonly string[]): Promise<PulumiRun>;
  preview(): Promise<PulumiRun>;
  destroy(): Promise<PulumiRun>;
  output(name: string): Promise<unknown>;
  /** What the clouds hold, and what they were asked. */
  held(cloud: string, type?: string): readonly Kept[];
  calls(): readonly CallRecord[];
  /** Takes resources away behind the engine's back. */
  lose(cloud: string, ...ids: readonly string[]): void;
  remove(): Promise<void>;
}

const program = `
const pulumi = require("@pulumi/pulumi");
const resources = require("./resources.json");
const made = new Map();
const value = (v) =>
  typeof v === "string" && /^\\$[\\w-]+\\./.test(v)
    ? v.slice(1).split(".").slice(1).reduce((at, key) => at[key], made.get(v.slice(1).split(".")[0]))
    : Array.isArray(v) ? v.map(value)
    : v !== null && typeof v === "object" ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, value(x)]))
    : v;
for (const { module, name, args, options } of resources) {
  const Class = Object.values(require(module)).find((each) => typeof each === "function");
  const { dependsOn, provider, ...others } = options ?? {};
  made.set(name, new Class(name, value(args), {
    ...others,
    ...(provider ? { provider: made.get(provider) } : {}),
    ...(dependsOn ? { dependsOn: dependsOn.map((each) => made.get(each)) } : {}),
  }));
}
for (const [name, resource] of made) exports[name] = Object.fromEntries(
  Object.entries(resource).filter(([key, v]) => !key.startsWith("_") && pulumi.Output.isInstance(v) && key !== "urn"));
`;

/** Makes a project with the engine and the stand-in clouds in place. Time in the clouds runs at \`speed\`. */
export async function makeCloudProject(): Promise<CloudProject> {
  const root = mkdtempSync(join(tmpdir(), "gc-"));
  const folder = join(root, "project");
  mkdirSync(join(folder, "bin"), { recursive: true });
  symlinkSync(join(checkout, "node_modules"), join(folder, "node_modules"));
  writeFileSync(
    join(folder, "Pulumi.yaml"),
    "name: gradientlab\nmain: bin/index.js\nruntime: {name: nodejs, options: {typescript: false}}\n",
  );
  writeFileSync(
    join(folder, "Pulumi.dev.yaml"),
    'config: {"gcp:project": "trial-project", "oci:region": "us-phoenix-1", "azure-native:location": "eastus"}\n',
  );
  writeFileSync(join(folder, "bin", "package.json"), '{"name":"program","type":"commonjs"}');
  writeFileSync(join(folder, "bin", "index.js"), program);
  const place = await ensureHome({ ...process.env, GRADIENTLAB_HOME: join(root, "home") });
  await ensureCli({ env: place.env, cache: cacheFolder() }, () => undefined, build());
  await placeStandIns(place);
  await setScenario(place, { schema: 1, speed: 100_000 });
  await ensureStack(place, "dev", folder);

  const pulumi = (...args: readonly string[]): Promise<PulumiRun> =>
    runPulumi(place, [...args, "--stack", "dev", "--color", "never", "--non-interactive"], { folder });
  const inWorld = <Value>(read: (world: ReturnType<typeof openWorld>) => Value): Value => {
    const world = openWorld(worldOf(place));
    try {
      return read(world);
    } finally {
      world.close();
    }
  };
  return {
    place,
    declare: (resources) => writeFileSync(join(folder, "bin", "resources.json"), JSON.stringify(resources)),
    scenario: (scenario) => setScenario(place, { schema: 1, speed: 100_000, ...scenario }),
    up: (...args) => pulumi("up", "--yes", "--skip-preview", ...args),
    preview: () => pulumi("preview"),
    destroy: () => pulumi("destroy", "--yes", "--skip-preview"),
    async output(name) {
      const { code, output } = await runPulumi(place, ["stack", "output", name, "--json", "--stack", "dev"], {
        folder,
      });
      if (code !== 0) throw new Error(output);
      return JSON.parse(output);
    },
    held: (cloud, type) => inWorld((world) => world.all(cloud, type)),
    lose: (cloud, ...ids) =>
      inWorld((world) => {
        for (const id of ids) world.drop(cloud, id);
      }),
    calls: () => inWorld((world) => world.calls()),
    async remove() {
      await untilNothingRuns(root);
      rmSync(root, { recursive: true });
    },
  };
}
