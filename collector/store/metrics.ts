import { sql } from "kysely";
import type { LayerName } from "../api/types.ts";
import type { TroubleKind } from "../recovery/rungs.ts";
import type { Database } from "./database.ts";
import { brakeNow } from "./recovery.ts";

/** What the database tells an operator's monitoring, at one instant. Ages are in seconds, never below zero. */
export interface StoredFigures {
  /** Nodes of the inventory that is in force, by whether they should run. */
  readonly nodes: readonly { readonly power: "on" | "off"; readonly count: number }[];
  /** Those nodes by what is known of a layer: the verdict by its class, since its words are the network's own. */
  readonly layers: readonly { readonly layer: LayerName; readonly state: string; readonly count: number }[];
  /** How old the newest line of each node is that should run; no ages where no such node was ever heard of. */
  readonly journals: {
    readonly unheard: number;
    readonly ages: readonly { readonly quantile: "0.5" | "0.95" | "1"; readonly seconds: number }[];
  };
  /** Due times of the last day, by how they ended; `open` where they have not. */
  readonly runs: readonly { readonly job: string; readonly outcome: string; readonly count: number }[];
  /** The age of the oldest due time that nobody has ended; zero where there is none. */
  readonly overdueSeconds: number;
  readonly alerts: readonly { readonly severity: string; readonly count: number }[];
  readonly deliveries: readonly {
    readonly channel: string;
    readonly state: "new" | "failing";
    readonly count: number;
    readonly oldestSeconds: number;
  }[];
  /** Messages that were given up in the last day, untaken. */
  readonly givenUp: readonly { readonly channel: string; readonly count: number }[];
  readonly recovery: {
    /** Nodes that are being repaired, by their trouble. */
    readonly episodes: readonly { readonly trouble: TroubleKind; readonly count: number }[];
    /** Actions that were decided on in the last day, by how they ended; `open` where they have not. */
    readonly actions: readonly { readonly rung: string; readonly outcome: string; readonly count: number }[];
    /** Why everything is held, or null where nothing is. */
    readonly brake: "fleet" | "operator" | null;
  };
  readonly databaseBytes: number;
}

const dayMs = 86_400_000;

/** Returns the figures as they are at `now`, all of one snapshot. */
export async function storedFigures(database: Database, now: Date): Promise<StoredFigures> {
  return database
    .transaction()
    .setIsolationLevel("repeatable read")
    .setAccessMode("read only")
    .execute(async (snapshot) => ({
      nodes: await nodesByPower(snapshot),
      layers: await nodesByLayer(snapshot),
      journals: await journalAges(snapshot, now),
      runs: await runsOfDay(snapshot, now),
      overdueSeconds: await overdueSeconds(snapshot, now),
      alerts: await openAlertsBySeverity(snapshot),
      deliveries: await waitingDeliveries(snapshot, now),
      givenUp: await givenUpOfDay(snapshot, now),
      recovery: {
        episodes: await openEpisodesByTrouble(snapshot),
        actions: await actionsOfDay(snapshot, now),
        brake: (await brakeNow(snapshot))?.cause ?? null,
      },
      databaseBytes: await databaseBytes(snapshot),
    }));
}

async function nodesByPower(database: Database): Promise<StoredFigures["nodes"]> {
  const { rows } = await sql<{ power: "on" | "off"; count: number }>`
    select power, count(*)::int as count from node where gone_at is null group by power order by power`.execute(
    database,
  );
  return rows;
}

/** A node of whose layer nothing was ever known has no stretch of it: it counts as unknown. */
async function nodesByLayer(database: Database): Promise<StoredFigures["layers"]> {
  const { rows } = await sql<{ layer: LayerName; state: string; count: number }>`
    select name as layer,
      case when name = 'verdict' then coalesce(class, 'unknown') else coalesce(value, 'unknown') end as state,
      count(*)::int as count
    from node cross join unnest(array['machine', 'runtime', 'app', 'verdict', 'reward']) as name
    left join layer_interval on node_id = node.id and layer = name and to_at is null
    where gone_at is null group by 1, 2 order by 1, 2`.execute(database);
  return rows;
}

async function journalAges(database: Database, now: Date): Promise<StoredFigures["journals"]> {
  const { rows } = await sql<{ unheard: number; ages: number[] | null }>`
    select (count(*) - count(age))::int as unheard,
      percentile_disc(array[0.5, 0.95, 1]) within group (order by age) as ages
    from (
      select greatest(extract(epoch from ${now}::timestamptz - last_sample_at), 0)::float8 as age
      from node join node_latest on node_id = node.id where gone_at is null and power = 'on'
    ) as heard`.execute(database);
  const { unheard = 0, ages = null } = rows[0] ?? {};
  const quantiles = ["0.5", "0.95", "1"] as const;
  return { unheard, ages: quantiles.flatMap((quantile, index) => ageOf(quantile, ages?.[index])) };
}

function ageOf(quantile: "0.5" | "0.95" | "1", seconds: number | undefined) {
  return seconds === undefined ? [] : [{ quantile, seconds }];
}

async function runsOfDay(database: Database, now: Date): Promise<StoredFigures["runs"]> {
  const { rows } = await sql<{ job: string; outcome: string; count: number }>`
    select job, coalesce(outcome, 'open') as outcome, count(*)::int as count from run
    where due > ${new Date(now.getTime() - dayMs)} and due <= ${now} group by 1, 2 order by 1, 2`.execute(database);
  return rows;
}

async function overdueSeconds(database: Database, now: Date): Promise<number> {
  const { rows } = await sql<{ seconds: number | null }>`
    select greatest(extract(epoch from ${now}::timestamptz - min(due)), 0)::float8 as seconds from run
    where finished_at is null and due <= ${now}`.execute(database);
  return rows[0]?.seconds ?? 0;
}

async function openAlertsBySeverity(database: Database): Promise<StoredFigures["alerts"]> {
  const { rows } = await sql<{ severity: string; count: number }>`
    select severity, count(*)::int as count from alert where resolved_at is null group by severity order by severity`.execute(
    database,
  );
  return rows;
}

async function waitingDeliveries(database: Database, now: Date): Promise<StoredFigures["deliveries"]> {
  const { rows } = await sql<{ channel: string; state: "new" | "failing"; count: number; oldest: number }>`
    select channel, case when reason is null then 'new' else 'failing' end as state, count(*)::int as count,
      greatest(extract(epoch from ${now}::timestamptz - min(at)), 0)::float8 as oldest
    from alert_delivery join alert_message on id = message_id
    where delivered_at is null and given_up_at is null group by 1, 2 order by 1, 2`.execute(database);
  return rows.map(({ oldest, ...rest }) => ({ ...rest, oldestSeconds: oldest }));
}

async function givenUpOfDay(database: Database, now: Date): Promise<StoredFigures["givenUp"]> {
  const { rows } = await sql<{ channel: string; count: number }>`
    select channel, count(*)::int as count from alert_delivery
    where given_up_at > ${new Date(now.getTime() - dayMs)} group by channel order by channel`.execute(database);
  return rows;
}

async function openEpisodesByTrouble(database: Database): Promise<StoredFigures["recovery"]["episodes"]> {
  const { rows } = await sql<{ trouble: TroubleKind; count: number }>`
    select trouble, count(*)::int as count from recovery_episode where closed_at is null group by trouble order by trouble`.execute(
    database,
  );
  return rows;
}

async function actionsOfDay(database: Database, now: Date): Promise<StoredFigures["recovery"]["actions"]> {
  const { rows } = await sql<{ rung: string; outcome: string; count: number }>`
    select rung, coalesce(outcome, 'open') as outcome, count(*)::int as count from recovery_action
    where decided_at > ${new Date(now.getTime() - dayMs)} group by 1, 2 order by 1, 2`.execute(database);
  return rows;
}

async function databaseBytes(database: Database): Promise<number> {
  const { rows } = await sql<{ bytes: string }>`
    select pg_database_size(current_database()) as bytes`.execute(database);
  return Number(rows[0]?.bytes);
}
