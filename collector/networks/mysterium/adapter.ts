import type { VerdictClass } from "../../api/types.ts";
import { type Adapter, type Metric, nodeMetrics } from "../adapter.ts";
import { MysteriumAccount } from "./account.ts";
import { decimals, parseMysterium } from "./parse.ts";
import { openMysterium } from "./session.ts";

const myst = { unit: "MYST", scale: decimals } as const;
const word: Metric = { kind: "text", unit: null, scale: 0 };

const metrics: Readonly<Record<string, Metric>> = {
  [nodeMetrics.verdict]: word,
  [nodeMetrics.points]: { kind: "lifetime", ...myst },
  // Falls when it is settled, from 5 MYST on by itself.
  unsettled: { kind: "gauge", ...myst },
  balance: { kind: "gauge", ...myst },
  stake: { kind: "gauge", ...myst },
  registration: word,
  version: word,
  "process-uptime": { kind: "gauge", unit: "s", scale: 9 },
  "nat-type": word,
  "nat-error": word,
  quality: { kind: "gauge", unit: null, scale: decimals },
  online: { kind: "gauge", unit: "percent", scale: decimals },
  active: { kind: "gauge", unit: "percent", scale: decimals },
  "sessions-day": { kind: "day", unit: "session", scale: 0 },
  "consumers-day": { kind: "day", unit: "consumer", scale: 0 },
  "received-day": { kind: "day", unit: "byte", scale: 0 },
  "sent-day": { kind: "day", unit: "byte", scale: 0 },
  "duration-day": { kind: "day", unit: "s", scale: 0 },
  "earned-day": { kind: "day", ...myst },
  "terms-agreed": word,
  "terms-current": word,
};

/** Metrics of which there is one for each service of the node. */
const ofService: Readonly<Record<string, Metric>> = {
  service: word,
  // Counted since the service was started.
  attempted: { kind: "gauge", unit: "session", scale: 0 },
  successful: { kind: "gauge", unit: "session", scale: 0 },
  "service-earnings": { kind: "gauge", ...myst },
};

// What the network's monitoring says. Its `unknown` may be a locked identity or a service that is down.
const classes: Readonly<Record<string, VerdictClass>> = { success: "good", failed: "bad" };

// Earnings come from other people's traffic: a day without any is nothing unusual.
const stallMs = 3 * 86_400_000;

/** Mysterium: one node by its own API, which welcomes machines in data centres. */
export const mysterium: Adapter<MysteriumAccount> = {
  network: "mysterium",
  accountFile: MysteriumAccount,
  practice: false,
  sources: [
    { name: "nodes", cron: "20 */10 * * * *", nodesCall: "identities/" },
    { name: "days", cron: "40 25 * * * *", nodesCall: null, reachDays: 365 },
  ],
  metricOf(name) {
    const table = name.includes(":") ? ofService : metrics;
    const [key = ""] = name.split(":");
    return Object.hasOwn(table, key) ? table[key] : undefined;
  },
  parser: "mysterium/1",
  stallMs: () => stallMs,
  classOf: (verdict) => (Object.hasOwn(classes, verdict) ? (classes[verdict] as VerdictClass) : "unknown"),
  open: openMysterium,
  parse: parseMysterium,
};
