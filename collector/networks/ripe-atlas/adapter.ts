import type { VerdictClass } from "../../api/types.ts";
import { type Adapter, type Metric, nodeMetrics } from "../adapter.ts";
import { RipeAtlasAccount } from "./account.ts";
import { parseRipeAtlas } from "./parse.ts";
import { openRipeAtlas } from "./session.ts";

const word: Metric = { kind: "text", unit: null, scale: 0 };
const seconds = { unit: "s", scale: 0 } as const;
const credit: Metric = { kind: "gauge", unit: "credit", scale: 0 };

const metrics: Readonly<Record<string, Metric>> = {
  [nodeMetrics.verdict]: word,
  "status-id": { kind: "gauge", unit: null, scale: 0 },
  // Instants, in seconds since 1970.
  "status-since": { kind: "gauge", ...seconds },
  "first-connected": { kind: "gauge", ...seconds },
  "last-connected": { kind: "gauge", ...seconds },
  uptime: { kind: "lifetime", ...seconds },
  "asn-v4": word,
  "asn-v6": word,
  "prefix-v4": word,
  "prefix-v6": word,
  country: word,
  firmware: word,
  public: word,
  // Falls when credits are spent or given away.
  balance: credit,
  "income-estimate": credit,
  "spending-estimate": credit,
  "income-limit": credit,
  "calculated-at": word,
};

const classes: Readonly<Record<string, VerdictClass>> = {
  Connected: "good",
  Disconnected: "bad",
  Abandoned: "bad",
  "Written Off": "bad",
};

/** RIPE Atlas, by its public API. Its credits are booked for an account, once a day, and are no money. */
export const ripeAtlas: Adapter<RipeAtlasAccount> = {
  network: "ripe-atlas",
  accountFile: RipeAtlasAccount,
  practice: false,
  sources: [
    { name: "nodes", cron: "30 8,38 * * * *", nodesCall: "probes/" },
    { name: "credits", cron: "50 51 2-23/6 * * *", nodesCall: null },
  ],
  metricOf: (name) => (Object.hasOwn(metrics, name) ? metrics[name] : undefined),
  parser: "ripe-atlas/1",
  // No probe has points of its own.
  stallMs: () => Number.POSITIVE_INFINITY,
  classOf: (verdict) => (Object.hasOwn(classes, verdict) ? (classes[verdict] as VerdictClass) : "unknown"),
  open: openRipeAtlas,
  parse: parseRipeAtlas,
};
