import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { z } from "zod";
import { type Log, sentenceOf } from "../log.ts";
import { troubleKinds } from "../recovery/rungs.ts";
import type { StoredFigures } from "../store/metrics.ts";
import { layerNames, type ReadingOutcome, VerdictClass } from "./types.ts";

/** What a collector tells Prometheus. */
export interface Metrics {
  /** Counts an answer of a network. */
  countReading(network: string, outcome: ReadingOutcome): void;
  /**
   * Returns everything in Prometheus' text format. Where the database does not answer in time, what it knows is left
   * out and `gradientlab_database_up` is 0: a figure that was not read is missing, never zero.
   */
  text(): Promise<string>;
}

/** What metrics need of the world. */
export interface MetricsDependencies {
  readonly figures: () => Promise<StoredFigures>;
  readonly log: Log;
  /** How long a scrape waits for the database, in milliseconds. */
  readonly patienceMs?: number;
}

/** The media type of `Metrics.text`. */
export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE;

const usualPatienceMs = 5_000;
const severities = ["info", "warning", "critical"];
/** States that are told of with zero too, so that a rule on them has something to compare. */
const states: Readonly<Record<(typeof layerNames)[number], readonly string[]>> = {
  machine: ["up", "degraded", "down", "unknown"],
  runtime: ["up", "degraded", "down", "unknown"],
  app: ["up", "degraded", "down", "unknown"],
  verdict: VerdictClass.options,
  reward: ["earning", "zero", "stalled", "unknown", "none"],
};

/** Returns metrics of this process. Scrapes at the same time share one look at the database. */
export function openMetrics({ figures, log, patienceMs = usualPatienceMs }: MetricsDependencies): Metrics {
  const own = new Registry();
  // Every 100 ms is often enough to see a loop that is held up, and costs a small host nothing.
  collectDefaultMetrics({ register: own, eventLoopMonitoringPrecision: 100 });
  gauge(own, "gradientlab_build_info", "The release that runs; always 1.", ["version", "node"]).set(
    { version: release(), node: process.version },
    1,
  );
  const readings = new Counter({
    name: "gradientlab_readings_total",
    help: "Answers of networks that this process got, by how they ended.",
    labelNames: ["network", "outcome"],
    registers: [own],
  });

  let trouble = "";
  const look = async (): Promise<StoredFigures | null> => {
    try {
      const found = await figures();
      trouble = "";
      return found;
    } catch (error) {
      const sentence = sentenceOf(error);
      if (sentence !== trouble) log("warn", `The database was not asked for metrics: ${sentence}`);
      trouble = sentence;
      return null;
    }
  };
  let looking: Promise<StoredFigures | null> | null = null;
  return {
    countReading: (network, outcome) => readings.inc({ network, outcome }),
    async text() {
      looking ??= look().finally(() => {
        looking = null;
      });
      const found = await Promise.race([looking, delay(patienceMs, null, { ref: false })]);
      return `${await own.metrics()}\n${await storedRegistry(found).metrics()}`;
    },
  };
}

/** Returns what the database knows as metrics; only that it does not answer where `figures` is null. */
function storedRegistry(figures: StoredFigures | null): Registry {
  const register = new Registry();
  gauge(register, "gradientlab_database_up", "Whether the database answered this scrape.").set(
    figures === null ? 0 : 1,
  );
  if (figures === null) return register;
  const { nodes, layers, journals, runs, alerts, deliveries, givenUp, recovery } = figures;

  const powers = gauge(register, "gradientlab_nodes", "Nodes of the inventory by whether they should run.", ["power"]);
  for (const power of ["on", "off"]) powers.set({ power }, 0);
  for (const { power, count } of nodes) powers.set({ power }, count);

  const layered = gauge(register, "gradientlab_node_layers", "Nodes of the inventory by what is known of each layer.", [
    "layer",
    "state",
  ]);
  for (const layer of layerNames) for (const state of states[layer]) layered.set({ layer, state }, 0);
  for (const { layer, state, count } of layers) layered.set({ layer, state }, count);

  const ages = gauge(
    register,
    "gradientlab_journal_age_seconds",
    "Age of the newest journal line of the nodes that should run, over all of them; quantile 1 is the oldest.",
    ["quantile"],
  );
  for (const { quantile, seconds } of journals.ages) ages.set({ quantile }, seconds);
  gauge(register, "gradientlab_nodes_unheard", "Nodes that should run and of which no line ever came.").set(
    journals.unheard,
  );

  const due = gauge(
    register,
    "gradientlab_due_times",
    "Due times of the last 24 hours by job and by how they ended; open where they have not.",
    ["job", "outcome"],
  );
  for (const { job, outcome, count } of runs) due.set({ job, outcome }, count);
  gauge(
    register,
    "gradientlab_due_time_age_seconds",
    "Age of the oldest due time that has not ended; 0 without one.",
  ).set(figures.overdueSeconds);

  const open = gauge(register, "gradientlab_alerts", "Alerts that are open.", ["severity"]);
  for (const severity of severities) open.set({ severity }, 0);
  for (const { severity, count } of alerts) open.set({ severity }, count);

  const waiting = gauge(
    register,
    "gradientlab_alert_deliveries_waiting",
    "Messages that a channel has not taken yet; failing where it refused them before.",
    ["channel", "state"],
  );
  const oldest = gauge(
    register,
    "gradientlab_alert_delivery_age_seconds",
    "Age of the oldest message that a channel has not taken yet.",
    ["channel", "state"],
  );
  for (const { channel, state, count, oldestSeconds } of deliveries) {
    waiting.set({ channel, state }, count);
    oldest.set({ channel, state }, oldestSeconds);
  }

  const lost = gauge(
    register,
    "gradientlab_alert_deliveries_given_up",
    "Messages of the last 24 hours that a channel never took.",
    ["channel"],
  );
  for (const { channel, count } of givenUp) lost.set({ channel }, count);

  const repaired = gauge(register, "gradientlab_recovery_nodes", "Nodes that are being repaired, by their trouble.", [
    "trouble",
  ]);
  for (const trouble of troubleKinds) repaired.set({ trouble }, 0);
  for (const { trouble, count } of recovery.episodes) repaired.set({ trouble }, count);
  const actions = gauge(
    register,
    "gradientlab_recovery_actions",
    "Actions of the last 24 hours by rung and by how they ended; open where they have not.",
    ["rung", "outcome"],
  );
  for (const { rung, outcome, count } of recovery.actions) actions.set({ rung, outcome }, count);
  const brake = gauge(register, "gradientlab_recovery_brake", "Whether recovery holds everything, by what set it.", [
    "cause",
  ]);
  for (const cause of ["fleet", "operator"]) brake.set({ cause }, recovery.brake === cause ? 1 : 0);

  gauge(register, "gradientlab_database_bytes", "Size of the database on its disk.").set(figures.databaseBytes);
  return register;
}

function gauge(register: Registry, name: string, help: string, labelNames: readonly string[] = []): Gauge {
  return new Gauge({ name, help, labelNames: [...labelNames], registers: [register] });
}

/** Returns the version in the collector's package file. */
function release(): string {
  const file = new URL("../package.json", import.meta.url);
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, "utf8"))).version;
}
