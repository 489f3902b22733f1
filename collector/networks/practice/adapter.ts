import type { VerdictClass } from "../../api/types.ts";
import { type Adapter, type Metric, nodeMetrics, referralMetrics } from "../adapter.ts";
import { PracticeAccount } from "./account.ts";
import { parsePractice } from "./parse.ts";
import { openPractice } from "./session.ts";

const point = { unit: "point", scale: 5 } as const;
const milliseconds = { unit: "ms", scale: 0 } as const;
const plain = { unit: null, scale: 0 } as const;

const metrics: Readonly<Record<string, Metric>> = {
  [nodeMetrics.verdict]: { kind: "text", ...plain },
  [nodeMetrics.verdictReason]: { kind: "text", ...plain },
  [nodeMetrics.presence]: { kind: "text", ...plain },
  [nodeMetrics.points]: { kind: "lifetime", ...point },
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

// One heartbeat in 30 s earns a node its next reward at the practice network's usual speed.
const rewardSeconds = 30;
// A reward may be late for a lost heartbeat; four in a row are no accident.
const missedRewards = 4;

/** The practice network: a service on this machine whose rewards are worth nothing. */
export const practice: Adapter<PracticeAccount> = {
  network: "practice",
  accountFile: PracticeAccount,
  practice: true,
  sources: [
    { name: "nodes", cron: "*/10 * * * * *", nodesCall: "sentrynode/list" },
    { name: "days", cron: "5 * * * * *", nodesCall: null, reachDays: 365 },
  ],
  metricOf: (name) =>
    name.startsWith("season-points:") ? seasonPoints : Object.hasOwn(metrics, name) ? metrics[name] : undefined,
  parser: "practice/1",
  stallMs: (account) => (account.rewardSeconds ?? rewardSeconds) * missedRewards * 1000,
  classOf: (verdict) => (Object.hasOwn(classes, verdict) ? (classes[verdict] as VerdictClass) : "unknown"),
  open: openPractice,
  dashboardOf: ({ origin, email, password }) => ({ origin, email, password }),
  parse: parsePractice,
};
