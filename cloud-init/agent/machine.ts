import { readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import type { MachineMeasures } from "./line.ts";
import type { Measures } from "./measure.ts";

/** The kernel counts time in /proc/stat in hundredths of a second (USER_HZ) on every architecture we run on. */
const tickMs = 10;

/** Adds the machine's measures, from /proc and the file system of `directory`. */
export async function measureMachine(directory: string, measures: Measures): Promise<MachineMeasures> {
  const memory = await measures.attempt("machine.mem", () => memoryIn(readFileSync("/proc/meminfo", "utf8")));
  const disk = await measures.attempt("machine.disk", async () => {
    const { bsize, blocks, bavail } = await statfs(directory);
    return { disk_total_bytes: bsize * blocks, disk_free_bytes: bsize * bavail };
  });
  const steal = await measures.attempt("machine.steal_ms", () => stealIn(readFileSync("/proc/stat", "utf8")));
  const traffic = await measures.attempt("machine.net", () => trafficIn(readFileSync("/proc/net/dev", "utf8")));
  return {
    load1: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    cpus: cpus().length,
    ...memory,
    ...disk,
    ...steal,
    ...traffic,
  };
}

/** Returns the memory figures of the text of /proc/meminfo, in bytes. */
export function memoryIn(text: string): MachineMeasures {
  const kib = (name: string): number | undefined => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
    return found === null ? undefined : Number(found[1]) * 1024;
  };
  const swapTotal = kib("SwapTotal");
  const swapFree = kib("SwapFree");
  return defined({
    mem_total_bytes: kib("MemTotal"),
    mem_available_bytes: kib("MemAvailable"),
    swap_total_bytes: swapTotal,
    swap_used_bytes: swapTotal === undefined || swapFree === undefined ? undefined : swapTotal - swapFree,
  });
}

/** Returns the time that the hypervisor gave to others, from the text of /proc/stat. */
export function stealIn(text: string): MachineMeasures {
  const steal = Number(text.split("\n", 1)[0]?.trim().split(/\s+/)[8]);
  return Number.isFinite(steal) ? { steal_ms: steal * tickMs } : {};
}

/** Returns the bytes of all interfaces but the loopback's, from the text of /proc/net/dev. */
export function trafficIn(text: string): MachineMeasures {
  let net_rx_bytes = 0;
  let net_tx_bytes = 0;
  for (const line of text.split("\n")) {
    const found = /^\s*([^:\s]+):\s*(.*)$/.exec(line);
    if (found === null || found[1] === "lo") continue;
    const figures = (found[2] ?? "").split(/\s+/).map(Number);
    net_rx_bytes += figures[0] ?? 0;
    net_tx_bytes += figures[8] ?? 0;
  }
  return { net_rx_bytes, net_tx_bytes };
}

function defined(values: { readonly [K in keyof MachineMeasures]: number | undefined }): MachineMeasures {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
