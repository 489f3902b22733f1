import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ServiceInfo } from "../../../../practice/service-info.ts";
import { checkoutOf } from "../../../home.ts";
import { changedFields, type Properties, type Resource } from "../../../plugin/resource.ts";
import { ExplainedError } from "../../../problem.ts";
import { hostInside } from "../machine/emulator.ts";
import { type GroupSpec, groupAlive, startGroup, stopGroup } from "../process/group.ts";

const Inputs = z.strictObject({});

/** How long the service may take to listen, and to end. */
const listenMs = 30_000;
const stopMs = 15_000;

const directoryIn = (home: string): string => join(home, "practice");
const stateIn = (home: string): string => join(directoryIn(home), "state");
const accountIn = (home: string): string => join(home, "networks", "practice.json");

/**
 * The practice network as a supervised process of its own, alive as long as a node earns from it. Its end keeps its
 * state, as a real network keeps an account when a fleet is gone; the collector's account file goes with it.
 */
export const practiceNetwork: Resource<z.infer<typeof Inputs>> = {
  inputs: Inputs,
  outputs: ["origin", "extensionId", "extensionVersion", "speed"],
  difference: (before, wanted) => ({ updates: changedFields(before, wanted), replaces: [] }),
  create: async (_wanted, { home }) => ({ id: "practice", outputs: await run(home) }),
  update: (_id, _wanted, { home }) => run(home),

  async read(_id, _inputs, outputs, { home }) {
    if (!(await groupAlive(directoryIn(home)))) return null;
    const info = await serviceIn(home);
    return info === undefined ? outputs : outputsOf(info);
  },

  async delete(_id, _inputs, { home }) {
    await rm(accountIn(home), { force: true });
    await stopGroup(directoryIn(home), { deadlineMs: stopMs });
  },
};

/**
 * Returns what the running practice network says of itself.
 * Throws `no-practice-network` where it does not run.
 */
export async function readService(home: string): Promise<ServiceInfo> {
  const info = await serviceIn(home);
  if (info === undefined || !(await answers(info)))
    throw new ExplainedError(
      "no-practice-network",
      "The practice network does not answer.",
      "Run the command again with --refresh, which starts it.",
    );
  return info;
}

async function run(home: string): Promise<Properties> {
  const directory = directoryIn(home);
  await mkdir(stateIn(home), { recursive: true, mode: 0o700 });
  const program = join(checkoutOf(import.meta.dirname), "practice", "main.ts");
  const spec: GroupSpec = {
    schema: 1,
    key: "practice",
    machineId: randomUUID(),
    everySeconds: null,
    workload: "practice-network",
    revision: { machine: 0, software: 0 },
    units: [
      {
        name: "service",
        account: "supervisor",
        exec: ["{runtime}", program, "--directory", stateIn(home), "--seen-as", hostInside],
        stopSeconds: 10,
      },
    ],
    files: [],
    needs: [],
    network: null,
    probes: { runtime: { kind: "unit", unit: "service" }, app: null },
  };
  await startGroup(home, directory, spec);
  const deadline = performance.now() + listenMs;
  for (;;) {
    const info = await serviceIn(home);
    if (info !== undefined && (await answers(info))) {
      await writeAccount(home, info);
      return outputsOf(info);
    }
    if (performance.now() > deadline) {
      await stopGroup(directory, { deadlineMs: stopMs });
      throw new ExplainedError(
        "no-practice-network",
        `The practice network did not answer within ${listenMs / 1000} s.`,
        `Its log is in ${join(directory, "logs")}.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function outputsOf({ origin, extension, speed }: ServiceInfo): Properties {
  return { origin, extensionId: extension.id, extensionVersion: extension.version, speed };
}

async function serviceIn(home: string): Promise<ServiceInfo | undefined> {
  const file = join(stateIn(home), "service.json");
  if (!existsSync(file)) return undefined;
  return ServiceInfo.parse(JSON.parse(await readFile(file, "utf8")));
}

/** Returns whether the service that wrote the file listens: the file of a killed one stays behind. */
async function answers({ origin }: ServiceInfo): Promise<boolean> {
  try {
    return (await fetch(`${origin}/api/status`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch (error) {
    // fetch rejects with a TypeError where nothing listens, with a DOMException where time ran out.
    if (error instanceof TypeError || error instanceof DOMException) return false;
    throw error;
  }
}

/** Writes the account that the collector reads, for its owner only. */
async function writeAccount(home: string, { origin, label, account }: ServiceInfo): Promise<void> {
  const file = accountIn(home);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const text = JSON.stringify({ schema: 1, network: "practice", account: account.email, origin, label, ...account });
  await writeFile(`${file}.part`, `${text}\n`, { mode: 0o600 });
  await rename(`${file}.part`, file);
}
