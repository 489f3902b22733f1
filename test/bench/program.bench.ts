import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";
import { type BenchContext, type Figure, figure, median, paired, timedProcess } from "./figure.ts";
import { startInstantEngine } from "./program/monitor.ts";

const here = dirname(fileURLToPath(import.meta.url));
const checkout = join(here, "..", "..");
const runner = createRequire(import.meta.url).resolve("@pulumi/pulumi/cmd/run");

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmSfnE5mQ1Fq0a3SxcVZ2yJb1tq8mB4sJ4bYg1c0QxQ bench";

/** What is read of the checkout's Pulumi.yaml. */
const ProjectFile = z.object({ runtime: z.object({ options: z.object({ nodeargs: z.string() }) }) });

/** One group on each cloud, and its account. */
const clouds: Readonly<Record<string, { region: string; size: string; account: unknown }>> = {
  oci: { region: "us-phoenix-1", size: "e4-1-2", account: "ocid1.tenancy.oc1..aaaaaaaabench" },
  gcp: {
    region: "us-central1",
    size: "e2-micro",
    account: { id: "01AB23-CD45EF-678901", options: { project: "bench-123456" } },
  },
  azure: { region: "westus2", size: "b2ats", account: "11111111-2222-3333-4444-555555555555" },
};

interface Program {
  readonly nodeArgs: readonly string[];
  readonly folder: string;
  readonly entry: string;
  readonly config: Record<string, string>;
  readonly env: NodeJS.ProcessEnv;
}

interface Measured {
  readonly ms: number;
  readonly bytes: number;
}

/**
 * The compiled program as the engine runs it, against a bare program that imports the SDK and declares as many
 * resources, for clouds against one that declares the very same ones from literals, and against the usual ts-node
 * layout. The engine's side answers at once, so only the program is measured.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const scratch = await mkdtemp(join(tmpdir(), "gradientlab-bench-"));
  const engine = await startInstantEngine({
    machineId: "0b0e7c52-6b8e-4b52-8d2e-0f6d5a8f3c11",
    address: "127.0.0.1",
    placement: "this-machine",
    reach: { kind: "process", directory: "/nodes/bench/0" },
    origin: "http://127.0.0.1:1",
    extensionId: "aaaabbbbccccddddeeeeffffgggghhhh",
    extensionVersion: "1.0.0",
    publicIp: "192.0.2.1",
    ipAddress: "192.0.2.1",
    instanceId: "1",
    vmId: "1",
  });
  const measure = async (program: Program, env: NodeJS.ProcessEnv = {}): Promise<Measured> => {
    const file = join(scratch, "peak");
    const args = ["--monitor", engine.address, "--engine", engine.address, "--project", "gradientlab"];
    args.push("--stack", "bench", "--pwd", program.folder, "--parallel", "8", program.entry);
    const ms = await timedProcess(process.execPath, [...program.nodeArgs, runner, ...args], {
      cwd: program.folder,
      env: {
        ...process.env,
        ...program.env,
        ...env,
        GRADIENTLAB_HOME: scratch,
        PULUMI_CONFIG: JSON.stringify(program.config),
        PULUMI_CONFIG_SECRET_KEYS: "[]",
        NODE_OPTIONS: `--require ${join(here, "program", "peak-memory.cjs")}`,
        PEAK_MEMORY_FILE: file,
      },
    });
    return { ms, bytes: Number(await readFile(file, "utf8")) };
  };
  const { runtime } = ProjectFile.parse(parse(await readFile(join(checkout, "Pulumi.yaml"), "utf8")));
  // The floors run under the same Node.js options.
  const nodeArgs = runtime.options.nodeargs.split(" ");
  const compiled = (count: number): Program => ({
    nodeArgs,
    folder: join(checkout, "infra", "bin"),
    entry: "index.js",
    config: {
      "gradientlab:fleet": JSON.stringify({
        schema: 1,
        groups: { bench: { provider: "local", size: "process", count, workload: "sentry", network: "practice" } },
      }),
    },
    env: { PULUMI_NODEJS_TYPESCRIPT: "false" },
  });
  const onCloud = (provider: string, { account, ...group }: (typeof clouds)[string], count: number): Program => ({
    ...compiled(0),
    config: {
      "gradientlab:fleet": JSON.stringify({
        schema: 1,
        groups: { bench: { provider, ...group, count, workload: "sentry", network: null } },
        accounts: { [provider]: account },
        access: { sshFrom: ["203.0.113.4/32"], keys: { operator: [key], collector: [key] } },
      }),
    },
  });
  const plain = (folder: string, resources: number, typescript: boolean): Program => ({
    nodeArgs: typescript ? [] : nodeArgs,
    folder: join(here, "program", folder),
    entry: typescript ? "index.ts" : "index.js",
    config: {},
    env: { COUNT: String(resources), PULUMI_NODEJS_TYPESCRIPT: String(typescript) },
  });

  try {
    for (const nodes of scale < 1 ? [3, 100] : [3, 100, 1000]) {
      say(`${nodes} nodes`);
      engine.takeCount();
      await measure(compiled(nodes));
      const resources = engine.takeCount();
      const n = Math.max(3, Math.round((nodes === 1000 ? 7 : 15) * scale));
      const { a, b } = await paired(
        n,
        () => measure(compiled(nodes)),
        () => measure(plain("floor", resources, false)),
      );
      yield figure("program", `wall time, ${nodes} nodes (${resources} resources)`, {
        value: median(a.map((m) => m.ms)),
        floor: median(b.map((m) => m.ms)),
        unit: "ms",
        n,
        target: "ratio <= 1.3",
      });
      yield figure("program", `peak memory, ${nodes} nodes (${resources} resources)`, {
        value: median(a.map((m) => m.bytes)) / 1e6,
        floor: median(b.map((m) => m.bytes)) / 1e6,
        unit: "MB",
        n,
        target: "ratio <= 1.3",
      });
    }
    const times: number[] = [];
    const [some, many] = [100, 1000].map((count) => Math.max(3, Math.round(count * scale))) as [number, number];
    for (const [provider, cloud] of Object.entries(clouds))
      for (const nodes of provider === "oci" ? [some, many] : [some]) {
        say(`${nodes} machines on ${provider}`);
        const ours = onCloud(provider, cloud, nodes);
        const literals = await engine.record(() => measure(ours));
        await writeFile(join(scratch, "literals.json"), JSON.stringify(literals));
        const n = Math.max(2, Math.round((nodes === many ? 5 : 9) * scale));
        const { a, b } = await paired(
          n,
          () => measure(ours),
          () => measure({ ...plain("literals", 0, false), env: { LITERALS: join(scratch, "literals.json") } }),
        );
        if (provider === "oci") times.push(median(a.map((m) => m.ms)));
        const what = `${nodes} machines on ${provider}, against the same resources from literals`;
        yield figure("program", `wall time, ${what}`, {
          value: median(a.map((m) => m.ms)),
          floor: median(b.map((m) => m.ms)),
          unit: "ms",
          n,
          target: "ratio <= 1.25",
        });
        yield figure("program", `peak memory, ${what}`, {
          value: median(a.map((m) => m.bytes)) / 1e6,
          floor: median(b.map((m) => m.bytes)) / 1e6,
          unit: "MB",
          n,
          target: "ratio <= 1.3",
        });
      }
    yield figure("program", `wall time of ${many} machines over that of ${some}`, {
      value: (times[1] ?? Number.NaN) / (times[0] ?? Number.NaN),
      unit: "times",
      n: times.length,
      target: "value <= 12",
    });
    say("the usual ts-node layout");
    const n = Math.max(1, Math.round(3 * scale));
    const ours: number[] = [];
    const usual: number[] = [];
    for (let i = 0; i < n; i++) {
      ours.push((await measure(compiled(3))).ms);
      // Its compiler keeps results in the temporary folder; what counts is a run after an edit, or on a new machine.
      const fresh = await mkdtemp(join(scratch, "fresh-"));
      usual.push((await measure(plain("default-layout", 3, true), { TMPDIR: fresh })).ms);
    }
    yield figure("program", "wall time, 3 nodes, against the usual ts-node layout after an edit", {
      value: median(ours),
      floor: median(usual),
      unit: "ms",
      n,
      target: "ratio <= 0.2",
    });
  } finally {
    engine.close();
    await rm(scratch, { recursive: true });
  }
}
