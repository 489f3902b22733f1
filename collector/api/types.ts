import { z } from "zod";
import { outcomes, rungs, troubleKinds } from "../recovery/rungs.ts";

/**
 * The answers of the API at `/api/v1`, as schemas and as the types derived from them. The server's OpenAPI document is
 * made from these schemas and the dashboard is written against these types. Instants are RFC 3339 in UTC; amounts are
 * integers in their smallest unit, as strings, with the scale (digits after the decimal point) and the unit beside them.
 */

const Instant = z.iso.datetime().describe("An instant, RFC 3339 in UTC.");
const Integer = z
  .string()
  .regex(/^-?[0-9]+$/)
  .describe("An integer in its smallest unit, as text because it may be larger than 2^53.");
const Key = z.string().describe("A node's key, <group>/<slot>.");
const ReadingId = z.string().describe("Id of the reading the value was read from; see /readings/{id}.");

/** The five layers, in the order in which each rests on the one before it. */
export const layerNames = ["machine", "runtime", "app", "verdict", "reward"] as const;
export const LayerName = z.enum(layerNames);
export type LayerName = z.infer<typeof LayerName>;

/** Our class of a network's verdict. */
export const VerdictClass = z.enum(["good", "bad", "unsupported", "unknown"]);
export type VerdictClass = z.infer<typeof VerdictClass>;

/**
 * One layer of a node now. `value` is `up | degraded | down | unknown` for machine, runtime and app, the network's own
 * words for the verdict (`unknown` where none was read), and `earning | zero | stalled | unknown | none` for the reward.
 */
export const Layer = z.object({
  value: z.string(),
  class: VerdictClass.optional().describe("Only on the verdict."),
  name: z.string().describe("What the workload calls this layer, for people."),
  reason: z.string().describe("Why, in words; a short sentence or code."),
  since: Instant.nullable().describe("When the layer took this value; null where nothing was ever known of it."),
  asOf: Instant.nullable().describe("The newest evidence for this value."),
});
export type Layer = z.infer<typeof Layer>;

export const Layers = z.object({ machine: Layer, runtime: Layer, app: Layer, verdict: Layer, reward: Layer });
export type Layers = z.infer<typeof Layers>;

/** An amount with where and when it was read. */
const Amount = z.object({
  units: Integer,
  scale: z.int().describe("Digits after the decimal point: units / 10^scale."),
  unit: z.string().describe('What is counted, for example "point".'),
  asOf: Instant,
  reading: ReadingId,
});

/** A node as one screen shows it. */
export const NodeItem = z.object({
  key: Key,
  group: z.string(),
  slot: z.int(),
  label: z.string().nullable(),
  provider: z.string(),
  region: z.string(),
  workload: z.string(),
  network: z.string().nullable(),
  practice: z.boolean().describe("True where the network is a practice network: its rewards are worth nothing."),
  power: z.enum(["on", "off"]),
  gone: z.boolean().describe("True when the node left the inventory; its history stays."),
  goneAt: Instant.nullable(),
  machineId: z.string(),
  layers: Layers,
  networkNodeId: z.string().nullable(),
  points: Amount.nullable().describe("All points the network reports for this node; null where none was ever read."),
  lastSampleAt: Instant.nullable(),
  restarts: z.int().nullable().describe("Restarts of the runtime since the journal began, as of the last sample."),
  pssBytes: z
    .int()
    .nullable()
    .describe("Proportional set size of the runtime's processes in bytes, as of the last sample."),
});
export type NodeItem = z.infer<typeof NodeItem>;

/** One line of a node's journal, as the node wrote it. */
export const SampleItem = z.object({
  journal: z.string(),
  n: z.int(),
  at: Instant,
  kind: z.enum(["sample", "event"]),
  everySeconds: z.number(),
  line: z.record(z.string(), z.unknown()).describe("The whole line, unknown fields included."),
});
export type SampleItem = z.infer<typeof SampleItem>;

/** How far the beginning of a stretch was seen. */
export const StartCensoring = z.enum(["none", "interval", "left", "unknown"]);
export type StartCensoring = z.infer<typeof StartCensoring>;

/** How far the end of a stretch was seen. */
export const EndCensoring = z.enum(["none", "interval", "right", "unknown"]);
export type EndCensoring = z.infer<typeof EndCensoring>;

/** A stretch `[from, to)` in which a layer had one value. */
export const StateItem = z.object({
  layer: LayerName,
  value: z.string(),
  class: VerdictClass.optional(),
  reason: z.string(),
  from: Instant,
  to: Instant.nullable().describe("null: still so."),
  asOf: Instant.describe("The newest evidence for this value."),
  startCensoring: StartCensoring.describe(
    "none: an event told when it began. interval: it began after asOf of the stretch before, up to from, where a look found it. left: it was so already when it was first seen, at from. unknown: an earlier release did not note it.",
  ),
  endCensoring: EndCensoring.describe(
    "none: an event told when it ended. interval: it ended after asOf, up to to. right: its end was not seen; it was so until asOf, and what is after that is not known, lasts still, or was ended by the operator. unknown: an earlier release did not note it.",
  ),
  evidence: z.record(z.string(), z.unknown()).describe("What the value rests on: a journal line, a reading, silence."),
});
export type StateItem = z.infer<typeof StateItem>;

/** Sums of a node's lines over an hour or a UTC day, from the lines themselves. */
const RollupItem = z.object({
  from: Instant,
  samples: z.int(),
  events: z.int(),
  coveredMs: z.int().describe("Milliseconds that the samples stand for; what is left of the stretch was not measured."),
  runtime: z.object({ up: z.int(), told: z.int() }).describe("Samples that said so, and that said anything."),
  app: z.object({ up: z.int(), told: z.int() }),
  restartsMax: z.int().nullable().describe("Counted since the journal began."),
  pss: z.object({ count: z.int(), sumBytes: Integer, maxBytes: z.int() }).nullable(),
  memoryAvailableMinBytes: z.int().nullable(),
  diskFreeMinBytes: z.int().nullable(),
});

/** How a value behaves over time. */
export const CounterKind = z.enum(["lifetime", "season", "day", "gauge", "text"]);
export type CounterKind = z.infer<typeof CounterKind>;

/** A value parsed from a reading: `units` for counts and amounts, `text` for words. */
const FactItem = z.object({
  id: z.string(),
  network: z.string(),
  account: z.string(),
  node: Key.nullable(),
  networkNodeId: z.string().nullable(),
  metric: z.string(),
  kind: CounterKind,
  units: Integer.nullable(),
  text: z.string().nullable(),
  unit: z.string().nullable(),
  scale: z.int(),
  day: z.iso.date().nullable().describe("The UTC day the value belongs to, where it belongs to one."),
  derived: z.boolean().describe("True where the value was computed from several read ones of the same reading."),
  parser: z.string().describe("Name and version of the parser."),
  asOf: Instant,
  reading: ReadingId,
});

/** Referral counts of an account, only as the network reports them. */
const ReferralItem = z.object({
  network: z.string(),
  account: z.string(),
  practice: z.boolean(),
  invitee: Integer,
  pending: Integer,
  asOf: Instant,
  reading: ReadingId,
});

/** A stretch for which nothing was read. */
export const GapItem = z.object({
  id: z.string(),
  node: Key.nullable(),
  network: z.string().nullable(),
  account: z.string().nullable(),
  kind: z.string(),
  from: Instant,
  to: Instant.nullable(),
  reason: z.string(),
});
export type GapItem = z.infer<typeof GapItem>;

/** One life of a node's machine. */
const IncarnationItem = z.object({
  machineId: z.string(),
  from: Instant,
  to: Instant.nullable(),
  journals: z.array(
    z.object({
      journal: z.string(),
      cursor: z.int().describe("The number of the last line stored."),
      firstSeenAt: Instant,
    }),
  ),
});

/** A list price that the inventory carried, and from when to when it stood there. */
export const CostItem = z.object({
  id: z.string(),
  node: Key.nullable().describe("null: what the fleet's nodes share."),
  item: z.string(),
  microUsdPerMonth: z.string().describe("Micro-dollars of the United States a month."),
  source: z.string(),
  checkedOn: z.iso.date().describe("When the price was looked up."),
  from: Instant,
  to: Instant.nullable().describe("null: still so."),
});
export type CostItem = z.infer<typeof CostItem>;

/** What the workload of a group is called and what its layers are called. */
export const WorkloadItem = z.object({
  group: z.string(),
  workload: z.string(),
  title: z.string(),
  layers: z.object({
    machine: z.string(),
    runtime: z.string(),
    app: z.string(),
    verdict: z.string(),
    reward: z.string(),
  }),
});
export type WorkloadItem = z.infer<typeof WorkloadItem>;

/** How an attempt to read ended. */
export const ReadingOutcome = z.enum(["ok", "auth", "transient", "rate-limited", "shape", "blocked", "unknown"]);
export type ReadingOutcome = z.infer<typeof ReadingOutcome>;

/** One raw answer, redacted of secrets before it was hashed and stored. */
export const ReadingItem = z.object({
  id: ReadingId,
  network: z.string(),
  account: z.string(),
  source: z.string().describe("Which of the network's pages or calls this is the answer of."),
  startedAt: Instant,
  finishedAt: Instant,
  httpStatus: z.int().nullable(),
  outcome: ReadingOutcome,
  reason: z.string().nullable(),
  sha256: z.string().describe("Of exactly the bytes of the body."),
  size: z.int().describe("Bytes of the body."),
  redactor: z.int().describe("The version of what took the secrets out."),
  n: Integer.describe("Its place in the chain of its account."),
  previous: z.string().nullable().describe("The hash of the reading before it in the chain; null for the first."),
  hash: z.string().describe("The hash of all of this but id and body."),
  body: z.string().nullable().describe("null: erased."),
  erased: z.object({ when: Instant, why: z.string() }).nullable(),
});
export type ReadingItem = z.infer<typeof ReadingItem>;

/** One due time of a job, and what became of it. */
const RunItem = z.object({
  id: z.string(),
  job: z.string(),
  due: Instant,
  attempts: z.int().describe("How often it was begun."),
  claimedAt: Instant.nullable().describe("When it was last begun; null: never."),
  lateMs: z.int().nullable().describe("How long after its due time it was last begun; null: never."),
  finishedAt: Instant.nullable(),
  outcome: z
    .string()
    .nullable()
    .describe("ok, missed, failed, or the worst that the network answered; null: waiting or under way."),
  reason: z.string().nullable().describe("Why it was missed, failed, or has to be tried again."),
  answeredBy: z.string().nullable().describe("The later run that answered for this missed due time."),
});

/** Something that somebody should know of. */
const AlertItem = z.object({
  id: z.string(),
  rule: z.string(),
  subject: z.string().describe("What it is about: a node's key, an account, a job, a phase, a channel."),
  severity: z.enum(["info", "warning", "critical"]),
  summary: z.string(),
  fix: z.string().describe("What to do about it."),
  since: Instant.describe("When it began, by the clock of its evidence."),
  openedAt: Instant,
  resolvedAt: Instant.nullable().describe("null: it is open."),
  acknowledgedAt: Instant.nullable(),
  readAt: Instant.nullable(),
  toldAt: Instant.nullable().describe("When a message was made of it; null: not yet, or it ended before."),
  escalatedAt: Instant.nullable().describe("When it was told again because nobody acknowledged it."),
});
export type AlertItem = z.infer<typeof AlertItem>;

/** The brake of recovery: while it is set, nothing is done for any node. */
const RecoveryBrake = z.object({
  cause: z.enum(["fleet", "operator"]).describe("fleet: many nodes fail at once; operator: somebody paused it."),
  reason: z.string(),
  since: Instant,
});

/** A node in trouble, or well again and still watched. */
const RecoveryNode = z.object({
  node: z.string(),
  trouble: z
    .enum(troubleKinds)
    .describe("unreachable, mute (it answers and takes no samples), software, or verdict (all is well but the word)."),
  reason: z.string().describe("The layer's own words."),
  since: Instant.describe("Since when the collector sees it, by its own clock."),
  wellSince: Instant.nullable().describe("Since when nothing is wrong; null: something is."),
  standing: z.string().describe("What is waited for, or why nothing is done."),
});

/** How recovery stands now. */
export const RecoveryState = z.object({
  asOf: Instant,
  brake: RecoveryBrake.nullable(),
  nodes: z.array(RecoveryNode),
});
export type RecoveryState = z.infer<typeof RecoveryState>;

/** Something that was done for a node, or proposed. */
const RecoveryAction = z.object({
  id: z.string(),
  action: z.string().describe("The id under which it is sent: the node does each once."),
  node: z.string(),
  machineId: z.string(),
  trouble: z.enum(troubleKinds),
  rung: z.enum(rungs).describe("rebuild is a proposal: nothing is rebuilt from here."),
  reason: z.string(),
  evidence: z.record(z.string(), z.unknown()),
  decidedAt: Instant,
  sentAt: Instant.nullable().describe("When it was sent first; null: not yet."),
  attempts: z.int(),
  endedAt: Instant.nullable(),
  outcome: z.enum(outcomes).nullable().describe("null: it is under way."),
  detail: z.string().nullable().describe("What the node or the collector says; of a proposal, what to change."),
  episodeOutcome: z.string().nullable().describe("How the trouble ended; null: it has not."),
});
export type RecoveryAction = z.infer<typeof RecoveryAction>;

/** What the operator's word changed: false where it stood so already. */
export const RecoveryMark = z.object({ changed: z.boolean(), at: Instant });

/**
 * One message of `/stream`: `event: change`, its `id` is what `Last-Event-ID` or `after` resumes from. `topic` says what
 * changed and `subject` which: topic `node`, subject a node's key; topic `account`, subject `<network>/<account>`; topic
 * `inventory`, subject the stack; topics `alert` and `recovery`, subject empty. Read the thing again to see it. `event: reset` (the same fields, topic `reset`) means that
 * the asked-for id is too old or unknown: read everything again.
 */
export const ChangeItem = z.object({ id: z.string(), at: Instant, topic: z.string(), subject: z.string() });
export type ChangeItem = z.infer<typeof ChangeItem>;

/** RFC 9457 problem details with our stable `code` and the `fix`. */
export const ProblemDetails = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  fix: z.string(),
});
export type ProblemDetails = z.infer<typeof ProblemDetails>;

/** A page of a list: `next` goes into `after` for the page that follows, null on the last. */
const listOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), next: z.string().nullable() });

export const NodeList = listOf(NodeItem);
export type NodeList = z.infer<typeof NodeList>;
export const SampleList = listOf(SampleItem);
export type SampleList = z.infer<typeof SampleList>;
export const RollupList = listOf(RollupItem);
export const StateList = listOf(StateItem);
export type StateList = z.infer<typeof StateList>;
export const FactList = listOf(FactItem);
export type FactList = z.infer<typeof FactList>;
export const ReferralList = listOf(ReferralItem);
export type ReferralList = z.infer<typeof ReferralList>;
export const GapList = listOf(GapItem);
export type GapList = z.infer<typeof GapList>;
export const IncarnationList = listOf(IncarnationItem);
export type IncarnationList = z.infer<typeof IncarnationList>;
export const CostList = listOf(CostItem);
export type CostList = z.infer<typeof CostList>;
export const RunList = listOf(RunItem);
export type RunList = z.infer<typeof RunList>;

export const RecoveryActionList = listOf(RecoveryAction);
export type RecoveryActionList = z.infer<typeof RecoveryActionList>;
export const AlertList = listOf(AlertItem);
export type AlertList = z.infer<typeof AlertList>;
/** What an alert was marked with. */
export const AlertMark = z.object({ id: z.string(), at: Instant });

/** `/readyz`: 200 when `ready`, 503 when not; `waiting` names what is missing. */
export const Ready = z.object({ ready: z.boolean(), waiting: z.array(z.string()) });
export type Ready = z.infer<typeof Ready>;
