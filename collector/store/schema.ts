import type { ColumnType, Generated, JSONColumnType } from "kysely";
import type { Reach } from "../../infra/inventory.ts";
import type { MessageKind } from "../alerts/messages.ts";
import type { Severity } from "../alerts/rules.ts";
import type {
  CounterKind,
  EndCensoring,
  LayerName,
  ReadingOutcome,
  StartCensoring,
  VerdictClass,
} from "../api/types.ts";
import type { EpisodeOutcome, Outcome, Rung, TroubleKind } from "../recovery/rungs.ts";
import type { FoldMemory } from "../states/lines.ts";
import type { RewardMemory } from "../states/reward.ts";
import type { BegunBy } from "../states/timeline.ts";

/** `bigint` columns travel as text: they may pass 2^53. */
type Identity = ColumnType<string, never, never>;
type BigInteger = ColumnType<string, string | number | bigint, string | number | bigint>;
/** A column that is null where nothing is given. */
type Optional<Value> = ColumnType<Value | null, Value | null | undefined, Value | null>;
type Json = JSONColumnType<Record<string, unknown>, string, string>;

interface RollupTable {
  node_id: number;
  at: Date;
  samples: number;
  events: number;
  covered_ms: BigInteger;
  runtime_up: number;
  runtime_told: number;
  app_up: number;
  app_told: number;
  restarts_max: BigInteger | null;
  pss_count: number;
  pss_sum: string;
  pss_max: BigInteger | null;
  memory_available_min: BigInteger | null;
  disk_free_min: BigInteger | null;
}

/** The tables, as kysely's types; `migrations/` is what makes them. */
export interface Tables {
  inventory_version: {
    id: Identity;
    stack: string;
    sha256: string;
    written_at: Date;
    accepted_at: Date;
    body: Json;
  };
  node: {
    id: Generated<number>;
    key: string;
    node_group: string;
    slot: number;
    label: string | null;
    provider: string;
    region: string;
    workload: string;
    network: string | null;
    power: "on" | "off";
    machine_id: string;
    reach: JSONColumnType<Reach, string, string>;
    first_seen_at: Date;
    gone_at: Date | null;
  };
  incarnation: {
    id: Generated<number>;
    node_id: number;
    machine_id: string;
    from_at: Date;
    to_at: Date | null;
  };
  journal: {
    id: Generated<number>;
    uuid: string;
    incarnation_id: number;
    cursor: BigInteger;
    first_seen_at: Date;
    chain: Buffer;
    last_at: Date | null;
    packed_n: ColumnType<string, never, never>;
  };
  line_pack: {
    journal_id: number;
    first_n: BigInteger;
    last_n: BigInteger;
    node_id: number;
    day: string;
    from_at: Date;
    to_at: Date;
    samples: number;
    events: number;
    chain: Buffer;
    version: number;
    sample_lines: Buffer | null;
    event_lines: Buffer | null;
    archive_id: Optional<number>;
    archive_row: Optional<number>;
    erased: JSONColumnType<{ when: string; why: string } | null, string | null | undefined, string | null>;
  };
  sample: {
    journal_id: number;
    n: BigInteger;
    node_id: number;
    at: Date;
    boot: string;
    mono_ms: number;
    kind: "sample" | "event";
    every_s: number;
    line: Json;
  };
  node_latest: {
    node_id: number;
    last_sample_at: Date | null;
    restarts: number | null;
    pss_bytes: BigInteger | null;
    memory: JSONColumnType<FoldMemory | null, string | null, string | null>;
    reward: JSONColumnType<RewardMemory | null, string | null, string | null>;
    rolled_up: Generated<boolean>;
  };
  node_hour: RollupTable;
  node_day: RollupTable;
  layer_interval: {
    id: Identity;
    node_id: number;
    layer: LayerName;
    value: string;
    class: VerdictClass | null;
    reason: string;
    from_at: Date;
    to_at: Date | null;
    as_of: Date;
    evidence: Json;
    begun_by: Optional<BegunBy>;
    start_censoring: Generated<StartCensoring>;
    end_censoring: Generated<EndCensoring>;
  };
  network_node: {
    id: Generated<number>;
    node_id: number;
    incarnation_id: number;
    network: string;
    network_node_id: string;
    from_at: Date;
    to_at: Date | null;
    evidence: Json;
  };
  account: { network: string; account: string; label: string; practice: boolean };
  reading: {
    id: Identity;
    network: string;
    account: string;
    source: string;
    started_at: Date;
    finished_at: Date;
    http_status: number | null;
    outcome: ReadingOutcome;
    reason: string | null;
    sha256: string;
    size: number;
    redactor: number;
    /** The database links a reading to its chain: place, hash before, own hash. */
    n: ColumnType<string, never, never>;
    previous: ColumnType<string | null, never, never>;
    hash: ColumnType<string, never, never>;
  };
  reading_body: {
    reading_id: BigInteger;
    body: string | null;
    archive_id: Optional<number>;
    archive_row: Optional<number>;
    erased: JSONColumnType<{ when: string; why: string } | null, string | null | undefined, string | null>;
  };
  archive: {
    id: Generated<number>;
    kind: "lines" | "readings";
    month: string;
    file: string;
    state: "writing" | "kept" | "replaced";
    began_at: Date;
    kept_at: Optional<Date>;
    sha256: Optional<string>;
    bytes: Optional<string>;
    rows: Optional<string>;
  };
  chain: { network: string; account: string; n: BigInteger; head: string | null };
  fact: {
    id: Identity;
    reading_id: BigInteger;
    network: string;
    account: string;
    network_node_id: string | null;
    metric: string;
    kind: CounterKind;
    value: string | null;
    text: string | null;
    unit: string | null;
    scale: number;
    day: string | null;
    derived: boolean;
    parser: string;
    as_of: Date;
  };
  gap: {
    id: Identity;
    node_id: number | null;
    network: string | null;
    account: string | null;
    kind: string;
    from_at: Date;
    to_at: Date | null;
    reason: string;
  };
  node_event: { id: Identity; node_id: number; at: Date; name: string; detail: Json; seen_at: Date };
  alert: {
    id: Identity;
    rule: string;
    subject: string;
    severity: Severity;
    summary: string;
    fix: string;
    since: Date;
    opened_at: Date;
    resolved_at: Optional<Date>;
    acknowledged_at: Optional<Date>;
    read_at: Optional<Date>;
    told_at: Optional<Date>;
    escalated_at: Optional<Date>;
    end_told_at: Optional<Date>;
  };
  alert_message: {
    id: string;
    at: Date;
    rule: string;
    kind: MessageKind;
    severity: Severity;
    title: string;
    body: string;
    alerts: JSONColumnType<string[], string, string>;
  };
  alert_delivery: {
    message_id: string;
    channel: string;
    attempts: Generated<number>;
    next_try_at: Date;
    lease_until: Optional<Date>;
    delivered_at: Optional<Date>;
    given_up_at: Optional<Date>;
    reason: Optional<string>;
  };
  recovery_episode: {
    id: Identity;
    node_id: number;
    machine_id: string;
    trouble: TroubleKind;
    reason: string;
    trouble_since: Date;
    well_since: Optional<Date>;
    opened_at: Date;
    closed_at: Optional<Date>;
    outcome: Optional<EpisodeOutcome>;
    standing: string;
  };
  recovery_action: {
    id: Identity;
    action_id: string;
    episode_id: BigInteger;
    node_id: number;
    machine_id: string;
    rung: Rung;
    reason: string;
    evidence: Json;
    decided_at: Date;
    attempts: Generated<number>;
    maybe_sent: Generated<boolean>;
    sent_at: Optional<Date>;
    next_try_at: Date;
    claimed_by: Optional<string>;
    lease_until: Optional<Date>;
    ended_at: Optional<Date>;
    outcome: Optional<Outcome>;
    detail: Optional<string>;
  };
  recovery_brake: {
    id: Identity;
    cause: "fleet" | "operator";
    reason: string;
    set_at: Date;
    released_at: Optional<Date>;
    released_by: Optional<"fleet" | "operator">;
  };
  job: {
    name: string;
    cron: string | null;
    planned_until: Date;
    busy_until: Optional<Date>;
    ended_at: Optional<Date>;
  };
  run: {
    id: Identity;
    job: string;
    due: Date;
    claimed_at: Date | null;
    claimed_by: string | null;
    lease_until: Date | null;
    attempts: Generated<number>;
    finished_at: Date | null;
    outcome: string | null;
    reason: string | null;
    answerable: Generated<boolean>;
    answered_by: BigInteger | null;
  };
  cost: {
    id: Identity;
    /** null: what the fleet's nodes share. */
    node_id: number | null;
    item: string;
    line: number;
    micro_usd_per_month: BigInteger;
    source: string;
    checked_on: string;
    from_at: Date;
    to_at: Date | null;
  };
  change: { id: Identity; at: Date; topic: string; subject: string };
}
