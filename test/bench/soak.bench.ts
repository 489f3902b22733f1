import { debuggingAccess } from "../../infra/debugging-access.ts";
import { type BootedMachine, bootMachine, bootMs, endOfLeak, leak, stepMs } from "../harness/booted-machine.ts";
import { until } from "../harness/checkout.ts";
import { inPage } from "../practice/browser-process.ts";
import { heartbeatsOf } from "../practice/network-process.ts";
import { type BenchContext, type Figure, figure } from "./figure.ts";

/** It boots a virtual machine, which takes minutes without hardware's help: it runs where it is named. */
export const byNameOnly = true;

const soakMs = 20 * 60_000;
const everySeconds = 60;
/** What the extension sends one in, and the floor of how many can come. */
const heartbeatMs = 30_000;

/**
 * A node on a machine of 1 GB for twenty minutes in which its browser leaks without end: each time it has come back, it
 * leaks again. How often it was ended and started, how many node ids the network saw, how many heartbeats came out of
 * those that a node without trouble sends, and how often the journal was silent for longer than three samples.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  say("booting a machine");
  const machine = await bootMachine(everySeconds);
  try {
    const known = await machine.line("the node's id", 0, ({ app }) => app?.network_node_id !== undefined);
    const id = known.app?.network_node_id ?? "";
    const from = Date.now();
    const first = (await machine.lines()).at(-1)?.n ?? 0;
    const lengthMs = soakMs * scale;
    let leaks = 0;
    while (Date.now() - from < lengthMs) {
      say(`leak ${leaks + 1}`);
      const before = (await machine.lines()).at(-1)?.n ?? 0;
      await beginLeak(machine);
      leaks++;
      const { line: ended } = await endOfLeak(machine, before);
      await machine.line("the start", ended.n, ({ event }) => event?.name === "unit-started");
    }
    const lines = (await machine.lines()).filter(({ n }) => n > first);
    const livedMs = (lines.at(-1)?.mono_ms ?? 0) - (lines[0]?.mono_ms ?? 0);
    const samples = lines.filter(({ kind }) => kind === "sample");
    const silences = samples.filter(
      ({ mono_ms }, index) => index > 0 && mono_ms - (samples[index - 1]?.mono_ms ?? 0) > 3 * everySeconds * 1000,
    ).length;
    const ids = new Set(lines.flatMap(({ app }) => app?.network_node_id ?? []));
    const count = (name: string): number => lines.filter(({ event }) => event?.name === name).length;
    const { heartbeats } = await heartbeatsOf(machine.service, id);
    const heard = heartbeats.filter(({ realAt }) => realAt > from).length;
    const swap = Math.max(...samples.map(({ machine: { swap_used_bytes = 0 } = {} }) => swap_used_bytes));
    const total = samples.at(-1)?.machine?.swap_total_bytes ?? 0;
    const n = leaks;
    yield figure("soak", "ends by the kernel at the limit", { value: count("unit-out-of-memory"), unit: "ends", n });
    yield figure("soak", "ends by the agent, of one that only waited for memory", {
      value: lines.filter(({ event }) => event?.name === "action" && event.outcome === "done").length,
      unit: "ends",
      n,
    });
    yield figure("soak", "starts of the browser", { value: count("unit-started"), unit: "starts", floor: leaks, n });
    yield figure("soak", "boots", { value: count("boot"), unit: "boots", n, target: "value <= 0" });
    yield figure("soak", "node ids in its samples", {
      value: ids.size,
      unit: "ids",
      n: samples.length,
      target: "value <= 1",
    });
    yield figure("soak", "silences of over three samples", { value: silences, unit: "gaps", n: samples.length });
    yield figure("soak", "heartbeats", { value: heard, unit: "heartbeats", floor: livedMs / heartbeatMs, n: heard });
    yield figure("soak", "most swap used", {
      value: swap,
      unit: "B",
      floor: total,
      n: samples.length,
      target: "ratio <= 1",
    });
  } finally {
    await machine.remove();
  }
}

/** Has the browser leak as soon as it answers. */
async function beginLeak(machine: BootedMachine): Promise<void> {
  const url = `chrome-extension://${machine.service.extension.id}/popup.html`;
  let trouble = "";
  await until(
    "the browser to begin a leak",
    Math.max(stepMs, bootMs),
    async () => {
      try {
        const { endpoint, close } = await debuggingAccess(machine.reach(), () => machine.keyOf("operator"));
        try {
          return (await inPage<string>({ debugging: endpoint }, url, leak, "keep")) === "leaking";
        } finally {
          await close();
        }
      } catch (error) {
        // It is not up yet, or it ended just now.
        trouble = error instanceof Error ? error.message : String(error);
        return false;
      }
    },
    () => trouble,
  );
}
