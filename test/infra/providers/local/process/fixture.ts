import { spawn } from "node:child_process";
import { createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { readSamples, type SamplesItem } from "../../../../../cloud-init/agent/samples.ts";
import { WorkloadDescriptor } from "../../../../../cloud-init/workloads/descriptor.ts";
import { identityOf, type ProcessIdentity, stillRuns } from "../../../../../infra/process-identity.ts";
import { extensionId } from "../../../../../infra/providers/local/process/crx.ts";
import type { GroupSpec } from "../../../../../infra/providers/local/process/spec.ts";

const checkout = fileURLToPath(new URL("../../../../../", import.meta.url));

/** Builds the node's two programs into `folder`, as a release has them. */
export async function buildArtefacts(folder: string): Promise<void> {
  const programs = {
    agent: "cloud-init/agent/main.ts",
    supervisor: "infra/providers/local/process/supervisor.ts",
  };
  for (const [name, input] of Object.entries(programs)) {
    const bundle = await rolldown({ input: join(checkout, input), platform: "node", logLevel: "silent" });
    await bundle.write({
      file: join(folder, `${name}.cjs`),
      format: "cjs",
      minify: true,
    });
    await bundle.close();
  }
}

export interface PackedExtension {
  readonly id: string;
  readonly version: string;
  readonly crx: string;
}

/** Packs the extension for tests with a new key. */
export async function packExtension(folder: string): Promise<PackedExtension> {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = join(folder, "key.pem");
  writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }));
  const crx = join(folder, "extension.crx");
  const source = fileURLToPath(new URL("./extension/", import.meta.url));
  await run(process.execPath, [
    join(checkout, "node_modules/crx3/bin/crx3.js"),
    "-p",
    key,
    "-o",
    crx,
    "-z",
    join(folder, "extension.zip"),
    "--",
    source,
  ]);
  const id = extensionId(createPublicKey(privateKey).export({ type: "spki", format: "der" }));
  return { id, version: "1.2.3", crx };
}

/** Runs a command to its end and returns what it printed and how it ended. */
export function execute(
  program: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

async function run(program: string, words: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await execute(program, words);
  if (code !== 0) throw new Error(`${program} ${words.join(" ")} ended with ${code}: ${stdout}${stderr}`);
}

/** A network of one page: it notes which ids sent a heartbeat. */
export interface Beats {
  readonly origin: string;
  readonly ids: string[];
  close(): Promise<void>;
}

export async function listenForBeats(): Promise<Beats> {
  const ids: string[] = [];
  const server = createServer((request, response) => {
    ids.push(new URL(request.url ?? "/", "http://127.0.0.1").searchParams.get("id") ?? "");
    response.writeHead(200, { "access-control-allow-origin": "*" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    ids,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** Returns the spec of a node with the sentry workload, as the program makes it from the descriptor. */
export function sentrySpec(extension: PackedExtension, origin: string, overrides: Partial<GroupSpec> = {}): GroupSpec {
  const descriptor = WorkloadDescriptor.parse(
    JSON.parse(readFileSync(join(checkout, "cloud-init/workloads/sentry/descriptor.json"), "utf8")),
  );
  return {
    schema: 1,
    key: "home/0",
    machineId: randomUUID(),
    everySeconds: 2,
    workload: descriptor.name,
    revision: { machine: 1, software: 1 },
    units: descriptor.process.units,
    files: [],
    needs: descriptor.process.needs,
    network: { name: "practice", origin, extension, settings: { origin, enrolCode: "planted-enrol-code" } },
    probes: descriptor.probes,
    ...overrides,
  };
}

/** Returns the spec of a group with one unit of plain words and no browser. */
export function plainSpec(exec: readonly string[], overrides: Partial<GroupSpec> = {}): GroupSpec {
  return {
    schema: 1,
    key: "home/0",
    machineId: randomUUID(),
    everySeconds: 1,
    workload: "plain",
    revision: { machine: 1, software: 1 },
    units: [{ name: "plain", account: "unprivileged", exec: [...exec], stopSeconds: 3 }],
    files: [],
    needs: [],
    network: null,
    probes: { runtime: { kind: "unit", unit: "plain" }, app: null },
    ...overrides,
  };
}

/** A new folder below the machine's temporary folder, and its removal. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "gradientlab-test-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Waits until `look` returns something; throws what it waited for after `withinMs`. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${what} did not happen within ${withinMs} ms.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Asks the agent in a node's folder, as the collector does. */
export function askAgent(directory: string, words: readonly string[]) {
  return execute(join(directory, "bin", "agent"), words);
}

/** Returns the whole journal of a node, read by its agent's verb. */
export async function journalOf(directory: string): Promise<SamplesItem[]> {
  const { code, stdout, stderr } = await askAgent(directory, ["samples", "--after", "start", "--max-bytes", "8000000"]);
  if (code === 75) return [];
  if (code !== 0) throw new Error(`samples ended with ${code}: ${stderr}`);
  return (await readSamples([Buffer.from(stdout)], { after: null })).items;
}

/** Returns the lines of a journal that could be read. */
export function linesOf(items: readonly SamplesItem[]) {
  return items.flatMap((item) => (item.kind === "line" ? [item.line] : []));
}

/** Returns the processes of this machine whose command line holds `text`. */
export function processesWith(text: string): Promise<string[]> {
  return execute("pgrep", ["-f", "-a", "--", text]).then(({ stdout }) =>
    stdout.split("\n").filter((line) => line !== "" && !line.includes("pgrep")),
  );
}

/** A process with its command line, found below another one. */
export interface Descendant {
  readonly pid: number;
  readonly args: readonly string[];
  readonly identity: ProcessIdentity | undefined;
}

/** Returns `ancestor` and all processes below it. */
export async function descendantsOf(ancestor: number): Promise<Descendant[]> {
  const { stdout } = await execute("ps", ["-ww", "-eo", "pid,ppid,args"]);
  const rows = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  const below = new Set([String(ancestor)]);
  for (let size = 0; size !== below.size; ) {
    size = below.size;
    for (const [pid = "", parent = ""] of rows) if (below.has(parent)) below.add(pid);
  }
  return rows
    .filter(([pid = ""]) => below.has(pid))
    .map(([pid, , ...args]) => ({ pid: Number(pid), args, identity: identityOf(Number(pid)) }));
}

/** Returns which of these still run: the very same, not later ones with their numbers. */
export function stillRunning(processes: readonly Descendant[]): Descendant[] {
  return processes.filter(({ identity }) => identity !== undefined && stillRuns(identity));
}
