import type { VerdictClass } from "../../api/types.ts";
import { type Adapter, type Metric, nodeMetrics, referralMetrics } from "../adapter.ts";
import { GradientAccount } from "./account.ts";
import { parseGradient, pointDecimals } from "./parse.ts";
import { openGradient } from "./session.ts";

const point = { unit: "point", scale: pointDecimals } as const;
const milliseconds = { unit: "ms", scale: 0 } as const;
const word: Metric = { kind: "text", unit: null, scale: 0 };

const metrics: Readonly<Record<string, Metric>> = {
  [nodeMetrics.verdict]: word,
  [nodeMetrics.verdictReason]: word,
  [nodeMetrics.presence]: word,
  [nodeMetrics.points]: { kind: "lifetime", ...point },
  active: word,
  banned: word,
  connect: word,
  "points-today": { kind: "day", ...point },
  "points-day-node": { kind: "day", ...point },
  "points-day-referral": { kind: "day", ...point },
  "points-day-bonus": { kind: "day", ...point },
  "points-day-boost": { kind: "day", ...point },
  uptime: { kind: "lifetime", ...milliseconds },
  "uptime-today": { kind: "day", ...milliseconds },
  "uptime-day": { kind: "day", ...milliseconds },
  "taps-today": { kind: "day", unit: "tap", scale: 0 },
  "taps-day": { kind: "day", unit: "tap", scale: 0 },
  // What the table shows, which the page may have rounded.
  "points-shown": { kind: "gauge", ...point },
  "points-today-shown": { kind: "day", ...point },
  "uptime-today-shown": { kind: "day", unit: "min", scale: 0 },
  "taps-today-shown": { kind: "day", unit: "tap", scale: 0 },
  "last-active": { kind: "gauge", ...milliseconds },
  "network-time": { kind: "gauge", ...milliseconds },
  nodes: { kind: "gauge", unit: "node", scale: 0 },
  [referralMetrics.invitee]: { kind: "gauge", unit: "account", scale: 0 },
  [referralMetrics.pending]: { kind: "gauge", unit: "account", scale: 0 },
};

const seasonPoints: Metric = { kind: "season", ...point };

const classes: Readonly<Record<string, VerdictClass>> = {
  Good: "good",
  Disconnected: "bad",
  Unsupported: "unsupported",
  Suspended: "unsupported",
};

// A day's points and a little more.
const stallMs = 26 * 3_600_000;

/** Gradient, by its dashboard, with the operator's own account. */
export const gradient: Adapter<GradientAccount> = {
  network: "gradient",
  accountFile: GradientAccount,
  practice: false,
  sources: [{ name: "dashboard", cron: "0 10 * * * *", nodesCall: "page/nodes" }],
  metricOf: (name) =>
    name.startsWith("season-points:") ? seasonPoints : Object.hasOwn(metrics, name) ? metrics[name] : undefined,
  parser: "gradient/1",
  stallMs: () => stallMs,
  classOf: (verdict) => (Object.hasOwn(classes, verdict) ? (classes[verdict] as VerdictClass) : "unknown"),
  open: openGradient,
  dashboardOf: ({ origin, email, password }) => ({ origin, email, password }),
  parse: parseGradient,
};
