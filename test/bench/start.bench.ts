import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeItem } from "../../collector/api/types.ts";
import { type Checkout, copyOfCheckout, type RunningStart, until } from "../harness/checkout.ts";
import { killBrowser, startBrowser } from "../practice/browser-process.ts";
import { endNetwork, practiceFolder, startNetwork } from "../practice/network-process.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";

/**
 * From `npm start` to the first fact in the database, and to its sentence that all is up: cold in a new home folder,
 * warm with everything made and the nodes running. The floor is what nothing can do without: the practice network and
 * one browser started by hand, to the first heartbeat. A cold start does not build the engine here: that is done once
 * for a machine, and its time is in the guide.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const n = Math.max(1, Math.round(5 * scale));
  const cold: Times[] = [];
  const warm: Times[] = [];
  const floors: number[] = [];
  for (let i = 0; i < n; i++) {
    say(`run ${i + 1} of ${n}`);
    floors.push(await byHand());
    const checkout = await copyOfCheckout();
    try {
      cold.push(await startOnce(checkout));
      warm.push(await startOnce(checkout));
    } finally {
      await checkout.remove();
    }
  }
  const floor = median(floors) / 1000;
  const seconds = (values: readonly number[]): number => median(values) / 1000;
  yield figure("start", "cold, to the first fact in the database", {
    value: seconds(cold.map((t) => t.firstFact)),
    unit: "s",
    floor,
    n,
  });
  yield figure("start", "cold, to three nodes up", { value: seconds(cold.map((t) => t.ready)), unit: "s", floor, n });
  yield figure("start", "warm, to the first fact in the database", {
    value: seconds(warm.map((t) => t.firstFact)),
    unit: "s",
    floor,
    n,
  });
  yield figure("start", "warm, to three nodes up", {
    value: seconds(warm.map((t) => t.ready)),
    unit: "s",
    floor,
    n,
    target: "value <= 20",
  });
}

/** Milliseconds from the command to its sentence, and to the first fact read after it. */
interface Times {
  readonly ready: number;
  readonly firstFact: number;
}

async function startOnce(checkout: Checkout): Promise<Times> {
  const begun = Date.now();
  const start: RunningStart = checkout.start("--port", "0");
  try {
    const url = await start.url;
    const ready = Date.now() - begun;
    let firstFact = 0;
    await until("the first fact", 120_000, async () => {
      const { items } = (await (await fetch(`${url}/api/v1/nodes`)).json()) as { items: NodeItem[] };
      const fresh = items.some((node) => node.points !== null && Date.parse(node.points.asOf) >= begun);
      firstFact = Date.now() - begun;
      return fresh;
    });
    return { ready, firstFact };
  } finally {
    await start.interrupt();
  }
}

/** Starts the practice network and one browser with its extension, and returns the milliseconds to its first heartbeat. */
async function byHand(): Promise<number> {
  const folder = await practiceFolder();
  const profile = await mkdtemp(join(tmpdir(), "gl-bench-"));
  const begun = performance.now();
  const network = await startNetwork(folder);
  try {
    const { origin, enrolCode, extension, account } = network.info;
    const post = async (path: string, body: unknown, token = ""): Promise<unknown> => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
      const answer = await fetch(`${origin}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      return ((await answer.json()) as { data: unknown }).data;
    };
    const { token } = (await post("/practice/sign-in", account)) as { token: string };
    const browser = await startBrowser(profile, extension, { origin, enrolCode });
    try {
      const list = { page: 1, size: 10, field: "active", direction: 0, active: "", banned: "" };
      await until("the first heartbeat", 60_000, async () => {
        const nodes = (await post("/api/sentrynode/list", list, token)) as { status: string }[];
        return nodes[0]?.status === "Good";
      });
      return performance.now() - begun;
    } finally {
      await killBrowser(browser);
    }
  } finally {
    await endNetwork(network, "SIGKILL");
    await rm(folder, { recursive: true });
    await rm(profile, { recursive: true });
  }
}
