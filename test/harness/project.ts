import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../infra/build.ts";
import { buildWhenStale } from "../../infra/engine/artefact.ts";
import { ensureCli } from "../../infra/engine/cli.ts";
import { cacheFolder, checkout, ensureHome, type Home } from "../../infra/engine/environment.ts";
import { ensureStack, type PulumiRun, runPulumi } from "../../infra/engine/stack.ts";
import { Inventory } from "../../infra/inventory.ts";
import { buildExtension, builtExtension } from "../../practice/extension-build.ts";
import { untilNothingRuns } from "./checkout.ts";

/** The folder that adds the test-only provider `shed` and the workload `pulse`, which needs no browser. */
export const extra = join(checkout, "test", "extra");

/** A group as a test writes it; what is left out is a node of the workload `pulse` on this machine. */
export type GroupOfTest = Readonly<Record<string, unknown>>;

/** What the engine did to one resource. */
export interface Step {
  readonly op: string;
  readonly type: string;
  readonly name: string;
}

/** A stack of its own in a temporary folder: the checkout's compiled program and plugin, the real engine, real nodes. */
export interface Project {
  readonly folder: string;
  readonly place: Home;
  /** Runs `pulumi` in it. */
  pulumi(args: readonly string[], signal?: AbortSignal): Promise<PulumiRun>;
  /** Writes the stack's config: these groups, or any value of `gradientlab:fleet`, or raw lines of config. */
  configure(groups: Readonly<Record<string, GroupOfTest>>): void;
  configureFleet(fleet: unknown): void;
  configureRaw(config: Readonly<Record<string, unknown>>): void;
  /** Brings the stack up and returns what it did, unchanged resources left out. Throws with the output where it fails. */
  up(...args: readonly string[]): Promise<Step[]>;
  /** Returns what an `up` would do, unchanged resources left out. Throws with the output where it fails. */
  preview(): Promise<Step[]>;
  /** Returns the stack's output `inventory`. */
  inventory(): Promise<Inventory>;
  /** Returns the JSON in a file of the home folder, or `undefined` where it is not there. */
  json(...path: readonly string[]): unknown;
  /** Removes the fleet, waits until nothing of it runs and removes the folder. */
  remove(): Promise<void>;
}

const pulse = { provider: "local", size: "process", workload: "pulse", network: null, options: { everySeconds: 1 } };

/** Makes a project with its stack `dev`, compiled and ready for `up`. */
export async function makeProject(): Promise<Project> {
  // Short, because sockets may be made below it.
  const folder = mkdtempSync(join(tmpdir(), "gl-"));
  mkdirSync(join(folder, "home"), { mode: 0o700 });
  writeFileSync(
    join(folder, "Pulumi.yaml"),
    `name: gradientlab
main: ${JSON.stringify(join(checkout, "infra", "bin", "index.js"))}
runtime: {name: nodejs, options: {typescript: false}}
plugins: {providers: [{name: gradientlab, path: ${JSON.stringify(join(checkout, "infra", "bin", "plugin"))}}]}
`,
  );
  const place = await ensureHome({
    ...process.env,
    GRADIENTLAB_HOME: join(folder, "home"),
    GRADIENTLAB_EXTRA: extra,
  });
  const compiled = build();
  await Promise.all([
    ensureCli({ env: place.env, cache: cacheFolder() }, () => undefined, compiled),
    buildWhenStale(builtExtension, ["practice/extension/**/*"], (outDir) => buildExtension({ outDir })),
  ]);

  const stackFile = join(folder, "Pulumi.dev.yaml");
  // YAML 1.2 holds all of JSON. What the engine itself wrote there, its salt and the stack's secret, stays.
  const configureRaw: Project["configureRaw"] = (raw) => {
    const kept = existsSync(stackFile) ? readFileSync(stackFile, "utf8") : "";
    const salt = /^encryptionsalt: .*$/m.exec(kept)?.[0];
    const secret = /gradientlab:secret:\s*\{?\s*"?secure"?: *"?([^\s"}]+)/m.exec(kept)?.[1];
    const all = { ...raw, ...(secret === undefined ? {} : { "gradientlab:secret": { secure: secret } }) };
    writeFileSync(stackFile, `${salt === undefined ? "" : `${salt}\n`}config: ${JSON.stringify(all)}\n`);
  };
  const configureFleet = (fleet: unknown): void => configureRaw({ "gradientlab:fleet": fleet });
  const pulumi: Project["pulumi"] = (args, signal) => {
    // Before a bare --, behind which every word is a value.
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const words = [...args.slice(0, end), "--stack", "dev", "--color", "never", "--non-interactive"];
    return runPulumi(place, [...words, ...args.slice(end)], { folder, ...(signal === undefined ? {} : { signal }) });
  };
  const steps = async (args: readonly string[]): Promise<Step[]> => {
    const { code, output } = await pulumi([...args, "--json"]);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} exited with ${code}:\n${output}`);
    return stepsIn(output);
  };
  await ensureStack(place, "dev", folder);
  return {
    folder,
    place,
    pulumi,
    configureRaw,
    configureFleet,
    configure(groups) {
      const full = Object.entries(groups).map(([name, group]) => [name, { ...pulse, ...group }]);
      configureFleet({ schema: 1, groups: Object.fromEntries(full) });
    },
    up: (...args) => steps(["up", "--yes", "--skip-preview", ...args]),
    preview: () => steps(["preview"]),
    async inventory() {
      const { code, output } = await runPulumi(place, ["stack", "output", "inventory", "--json", "--stack", "dev"], {
        folder,
      });
      if (code !== 0) throw new Error(output);
      return Inventory.parse(JSON.parse(output));
    },
    json(...path) {
      const file = join(place.home, ...path);
      return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
    },
    async remove() {
      const { code, output } = await pulumi(["destroy", "--yes", "--skip-preview"]);
      if (code !== 0) throw new Error(output);
      await untilNothingRuns(folder);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Reads what `--json` prints: one document with `steps` for a preview, an event on each line for an `up`. */
function stepsIn(output: string): Step[] {
  const step = (op: string, urn: string): Step => {
    const [, , type = "", name = ""] = urn.split("::");
    return { op, type: type.split("$").at(-1)?.split(":").at(-1) ?? "", name };
  };
  const changed = ({ op }: Step): boolean => !["same", "read", "refresh"].includes(op);
  const whole = /^\{\n[\s\S]*^\}$/m.exec(output)?.[0];
  if (whole !== undefined) {
    const { steps = [] } = JSON.parse(whole) as { steps?: { op: string; urn: string }[] };
    return steps.map(({ op, urn }) => step(op, urn)).filter(changed);
  }
  return output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .flatMap((line) => {
      const { resOutputsEvent } = JSON.parse(line) as { resOutputsEvent?: { metadata: { op: string; urn: string } } };
      return resOutputsEvent === undefined ? [] : [step(resOutputsEvent.metadata.op, resOutputsEvent.metadata.urn)];
    })
    .filter(changed);
}
