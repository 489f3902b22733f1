import { encodeLine, type JournalLine } from "../../cloud-init/agent/line.ts";

/** A line of a node's journal, checked, with its text. */
export interface LivedLine {
  readonly kind: "line";
  readonly n: number;
  readonly line: JournalLine;
  readonly text: string;
}

/** Returns pseudo-random numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Which node lives, from when, and at what distance its samples are. */
export interface Life {
  readonly journal: string;
  readonly from: number;
  readonly everySeconds: number;
  readonly random: () => number;
}

const pageBytes = 4096;
const kib = 1024;

/**
 * Yields the lines of a node without end, with every field that the agent writes and the noise that a machine has: timers
 * that are late by a few milliseconds, counters that grow unevenly, a browser whose memory wanders and that crashes every
 * ten days or so, a heartbeat that is late now and then, failed measures, a reboot a month.
 */
export function* nodeLife({ journal, from, everySeconds, random }: Life): Generator<LivedLine> {
  const noise = (most: number): number => Math.floor(random() * most);
  const around = (spread: number): number => (random() + random() + random() - 1.5) * spread;
  const uuid = (): string =>
    [8, 4, 4, 4, 12].map((length) => Array.from({ length }, () => noise(16).toString(16)).join("")).join("-");
  const memoryTotal = 970 * kib * kib + noise(999) * kib;
  const diskTotal = 46_000_000_000 - (46_000_000_000 % pageBytes);
  let n = 0;
  let at = from + noise(everySeconds * 1000);
  let boot = uuid();
  let bootedAt = at - 20_000;
  let pid = 700 + noise(300);
  let since = at;
  let restarts = 0;
  let [received, sent, steal, disk, memory, load, pss] = [noise(1e6), noise(1e6), 0, 31e9, 420e6, 0.2, 260e6];
  let version = 4;
  // The network knows the node by it.
  const id = `c-${journal}`;
  const line = (rest: Partial<JournalLine>, instant: number): LivedLine => {
    n++;
    const made: JournalLine = {
      v: 1,
      j: journal,
      n,
      boot,
      at: new Date(instant).toISOString(),
      // The kernel tells its uptime in hundredths of a second.
      mono_ms: Math.floor((instant - bootedAt) / 10) * 10,
      kind: "event",
      every_s: everySeconds,
      ...rest,
    };
    return { kind: "line", n, line: made, text: encodeLine(made) };
  };
  yield line({ event: { name: "boot" } }, at);
  const perDay = 86_400 / everySeconds;
  for (let due = at; ; due += everySeconds * 1000) {
    at = due + 3 + noise(9) + (random() < 0.02 ? noise(400) : 0);
    if (random() < 1 / (30 * perDay)) {
      yield line({ event: { name: "stopping" } }, at);
      at += 25_000 + noise(9_000);
      [boot, bootedAt, pid, since] = [uuid(), at - 9_000, 700 + noise(300), at];
      [received, sent, steal] = [0, 0, 0];
      yield line({ event: { name: "boot" } }, at);
      yield line({ event: { name: "unit-started", unit: "browser", pid } }, at + 900);
    } else if (random() < 1 / (10 * perDay)) {
      yield line({ event: { name: "unit-exited", unit: "browser", code: null, signal: "SIGSEGV" } }, at - 90_000);
      pid += 100 + noise(900);
      since = at - 85_000;
      restarts++;
      yield line({ event: { name: "unit-started", unit: "browser", pid } }, since);
    }
    if (random() < 1 / (45 * perDay)) version++;
    received += 180_000 + Math.floor(random() ** 4 * 3_000_000);
    sent += 90_000 + Math.floor(random() ** 4 * 900_000);
    steal += random() < 0.3 ? noise(40) * 10 : 0;
    disk -= noise(90) * pageBytes;
    if (disk < 8e9) disk = 31e9;
    load = Math.max(0, load * 0.8 + 0.06 + around(0.12));
    memory = Math.min(700e6, Math.max(120e6, memory + around(9e6)));
    pss = Math.min(480e6, Math.max(180e6, pss + around(5e6)));
    const looked = random() < 0.2;
    const blind = random() < 0.004;
    const late = random() < 0.002;
    yield line(
      {
        kind: "sample",
        machine: {
          load1: Math.round(load * 100) / 100,
          cpus: 1,
          mem_total_bytes: memoryTotal,
          mem_available_bytes: Math.floor(memory / kib) * kib,
          swap_total_bytes: 0,
          swap_used_bytes: 0,
          disk_total_bytes: diskTotal,
          disk_free_bytes: Math.floor(disk / pageBytes) * pageBytes,
          steal_ms: steal,
          net_rx_bytes: received,
          net_tx_bytes: sent,
        },
        runtime: {
          state: "up",
          pid,
          restarts,
          since: new Date(since).toISOString(),
          ...(blind ? {} : { pss_bytes: Math.floor(pss / kib) * kib }),
        },
        app: {
          state: "up",
          version: `1.0.${version}`,
          worker: random() < 0.7 ? "awake" : "asleep",
          heartbeat_age_s: late ? 130 + noise(4000) / 10 : noise(620) / 10,
          network_node_id: id,
          ...(looked ? { looked } : {}),
        },
        net: {
          dns_ms: Math.round((1 + random() ** 6 * 60) * 10) / 10,
          connect_ms: Math.round((11 + Math.abs(around(2)) + random() ** 9 * 80) * 10) / 10,
          tls_ms: Math.round((25 + Math.abs(around(5)) + random() ** 9 * 120) * 10) / 10,
          udp_ms: Math.round((14 + Math.abs(around(3)) + random() ** 9 * 90) * 10) / 10,
        },
        ...(blind ? { errors: [{ field: "runtime.pss_bytes", code: "timeout" }] } : {}),
      },
      at,
    );
  }
}
