import { join } from "node:path";
import { readAlertSettings, secretsOfSettings, usualSettings } from "./alerts/settings.ts";
import { watchAlerts } from "./alerts/watch.ts";
import { openMetrics } from "./api/metrics.ts";
import { buildServer, listen } from "./api/server.ts";
import { changeBell } from "./api/stream.ts";
import type { Config } from "./config.ts";
import { type Opener, readKey } from "./credentials.ts";
import { watchInventory } from "./inventory/watch.ts";
import { workloadsIn } from "./inventory/workloads.ts";
import { agentOf } from "./journal/agents.ts";
import { archivingJob } from "./journal/archiving.ts";
import { followFleet } from "./journal/follow.ts";
import { packingJob } from "./journal/packing.ts";
import { spoolImport } from "./journal/spool.ts";
import { readSshKey } from "./journal/ssh-key.ts";
import { turns } from "./journal/turns.ts";
import { type Log, sentenceOf } from "./log.ts";
import { followAccounts } from "./networks/follow.ts";
import { missing, type ReadinessDependencies } from "./readiness.ts";
import { readRecoverySettings, usualRecovery } from "./recovery/settings.ts";
import { watchRecovery } from "./recovery/watch.ts";
import { keepSchedule, openSchedule } from "./schedule/schedule.ts";
import { passwordsIn, type Secrets } from "./secrets.ts";
import { noteDeletedUnread } from "./store/absence.ts";
import { openArchives } from "./store/archive/archives.ts";
import { pruneChanges } from "./store/changes.ts";
import { migrations, openDatabase } from "./store/database.ts";
import { type EmbeddedServer, startEmbedded } from "./store/embedded.ts";
import { storedFigures } from "./store/metrics.ts";
import { preparePartitionsAhead } from "./store/partitions.ts";
import { rebuildOne } from "./store/rollups.ts";

/** A collector at work. */
export interface Collector {
  readonly url: string;
  /** Settles with a sentence when the collector cannot go on; never while all is well. */
  readonly broken: Promise<string>;
  /** Ends everything it began, in the opposite order. */
  stop(): Promise<void>;
}

// Agents on this machine are programs that start and end: too many at once would compete with the nodes themselves.
const agentsAtOnce = 4;
// Other machines do the work there; what one of them answers is held in memory until it is stored.
const machinesAtOnce = 32;
const watchMs = 1_000;
const alertsMs = 5_000;
const outboxMs = 2_000;
const recoveryMs = 5_000;
const housekeepingMs = 60_000;
const changesKeptMs = 7 * 86_400_000;
// A drained journal may arrive a little after the inventory that says its node is gone.
const drainGraceMs = 60_000;

/** Starts a collector: database, inventory, journals, networks, API. @throws ExplainedError, BadInput as its parts. */
export async function startCollector(
  config: Config,
  log: Log,
  secrets: Secrets,
  now: () => Date = () => new Date(),
): Promise<Collector> {
  const endings: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of endings.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        log("error", `A part of the collector did not end well: ${sentenceOf(error)}`);
      }
    }
  };
  try {
    const opener = openerOf(config, log);
    const alertSettings =
      config.alertsFile === null ? usualSettings : await readAlertSettings(config.alertsFile, opener);
    const settingsSecrets = secretsOfSettings(alertSettings);
    secrets.know(() => settingsSecrets);
    const recoverySettings =
      config.recoveryFile === null ? usualRecovery : await readRecoverySettings(config.recoveryFile);
    const { broken, url: databaseUrl } = await openServer(config, log, endings);
    const databaseSecrets = passwordsIn(databaseUrl);
    secrets.know(() => databaseSecrets);
    const database = await openDatabase(
      databaseUrl,
      (error) => log("warn", `A database session was lost: ${sentenceOf(error)}`),
      (sentence) => log("warn", sentence),
    );
    endings.push(() => database.destroy());

    const bell = changeBell(databaseUrl, log);
    endings.push(() => bell.stop());
    const workloads = workloadsIn(config.extraDirectory);
    const archives = openArchives(config.archivesDirectory);
    const shared = { database, log, now, workloads };
    let lookedAtInventory = false;
    let turnedAt: number | null = null;
    const schema = (await migrations()).length;
    const readiness: ReadinessDependencies = {
      database,
      schema,
      inventory: () => lookedAtInventory,
      sinceTurnMs: () => (turnedAt === null ? null : performance.now() - turnedAt),
    };
    const metrics = openMetrics({ figures: () => storedFigures(database, now()), log });
    const app = await buildServer({
      ...shared,
      archives,
      bell,
      host: config.host,
      webRoot: config.webRoot,
      waiting: () => missing(readiness),
      metrics: metrics.text,
    });
    endings.push(() => app.close());
    const url = await listen(app, config.host, config.port);

    const key = config.sshKeyFile === null ? null : readSshKey(config.sshKeyFile);
    const fleet = followFleet(
      {
        ...shared,
        agentOf: (reach) => agentOf(reach, key),
        turns: { process: turns(agentsAtOnce), ssh: turns(machinesAtOnce) },
      },
      config.pullSeconds,
    );
    endings.push(() => fleet.stop());
    const inventory = watchInventory(config.inventoryFile, database, log, now, () => void fleet.look());
    endings.push(() => inventory.stop());
    await inventory.look();
    lookedAtInventory = true;
    await fleet.look();

    const importSpool = config.spoolDirectory === null ? null : spoolImport(config.spoolDirectory, shared);
    const schedule = openSchedule({ database, log, now, monotonicMs: () => performance.now() });
    const accounts =
      config.networksDirectory === null
        ? null
        : followAccounts(config.networksDirectory, {
            ...shared,
            schedule,
            fetch: globalThis.fetch,
            random: Math.random,
            stateDirectory: join(config.dataDirectory, "sessions"),
            readCron: config.readCron,
            opener,
            knowSecrets: secrets.know,
            countReading: metrics.countReading,
          });
    if (accounts !== null) endings.push(() => accounts.stop());
    await accounts?.look();
    await schedule.add(packingJob(database, log, now));
    await schedule.add(archivingJob(database, archives, config.archiveAfterMonths, log, now));
    const turn = async (): Promise<void> => {
      await schedule.turn();
      turnedAt = performance.now();
    };
    endings.push(keepSchedule({ ...schedule, turn }, log, now));
    const recovery = watchRecovery(recoverySettings, { ...shared, fleet });
    const alerts = watchAlerts(alertSettings, { ...shared, fetch: globalThis.fetch });
    endings.push(
      repeat(watchMs, log, "watch", async () => {
        await accounts?.look();
        await importSpool?.();
        await Promise.all([fleet.watchSilence(), accounts?.watchAbsence()]);
      }),
      repeat(alertsMs, log, "watch over the fleet", () => alerts.look()),
      repeat(outboxMs, log, "delivery of alerts", () => alerts.deliver()),
      async () => alerts.stop(),
      () => recovery.stop(),
      repeat(recoveryMs, log, "recovery of nodes", () => recovery.look()),
      repeat(housekeepingMs, log, "housekeeping", async () => {
        await pruneChanges(database, new Date(now().getTime() - changesKeptMs));
        await noteDeletedUnread(database, new Date(now().getTime() - drainGraceMs));
        await preparePartitionsAhead(database, now());
        while (await rebuildOne(database));
      }),
    );
    return { url, broken, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Returns how files of credentials are opened. One that lies there unencrypted beside a key is told of. */
function openerOf({ credentialsKeyFile }: Config, log: Log): Opener {
  if (credentialsKeyFile === null) return { key: null };
  const plain = (file: string): void =>
    log("warn", `${file} lies there unencrypted.`, { fix: "Encrypt it: npm run credentials -- seal." });
  return { key: readKey(credentialsKeyFile), plain };
}

async function openServer(
  config: Config,
  log: Log,
  endings: (() => Promise<unknown>)[],
): Promise<{ url: string; broken: Promise<string> }> {
  const never = new Promise<string>(() => undefined);
  if (config.databaseUrl !== null) return { url: config.databaseUrl, broken: never };
  const server: EmbeddedServer = await startEmbedded(join(config.dataDirectory, "postgres"), log);
  endings.push(() => server.stop());
  const broken = server.ended.then((sentence) => sentence ?? never);
  return { url: server.url("postgres"), broken };
}

/** Does `work` again and again, `ms` after it ended. Returns what ends that and waits for the work under way. */
function repeat(ms: number, log: Log, name: string, work: () => Promise<unknown>): () => Promise<void> {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let trouble = "";
  const once = async (): Promise<void> => {
    try {
      await work();
      trouble = "";
    } catch (error) {
      const sentence = sentenceOf(error);
      if (sentence !== trouble) log("error", `The ${name} had trouble: ${sentence}`);
      trouble = sentence;
    }
    if (!stopped) {
      timer = setTimeout(() => {
        running = once();
      }, ms);
    }
  };
  let running = once();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await running;
  };
}
