import { existsSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { isAbsolute, resolve } from "node:path";
import cron from "node-cron";
import { z } from "zod";
import { BadInput, type Problem, quoted } from "../infra/problem.ts";
import { type LogLevel, logLevels } from "./log.ts";
import { archivesFolder } from "./store/archive/archives.ts";

/** Everything the collector can be told, read once from the environment. Paths are absolute. */
export interface Config {
  /** A PostgreSQL server of the operator's; null: the embedded one under `dataDirectory`. May hold a password. */
  readonly databaseUrl: string | null;
  readonly dataDirectory: string;
  /** Where months lie that are older than the database keeps, as Parquet files. */
  readonly archivesDirectory: string;
  /** How many months of lines and answers stay in the database before they are archived. */
  readonly archiveAfterMonths: number;
  readonly inventoryFile: string;
  /** A folder of account files, one JSON file for each account that is read; null: no network is read. */
  readonly networksDirectory: string | null;
  /** Where drained journals of deleted nodes wait to be imported; null: nowhere. */
  readonly spoolDirectory: string | null;
  /** The private key with which nodes are asked over SSH; null: only nodes on this machine can be asked. */
  readonly sshKeyFile: string | null;
  /** Which alerts are told on which channels; null: every rule, on the page alone. Holds secrets. */
  readonly alertsFile: string | null;
  /** The key with which files of credentials are encrypted; null: they lie there as they are. */
  readonly credentialsKeyFile: string | null;
  /** What is graded less is not logged. */
  readonly logLevel: LogLevel;
  /** How nodes are repaired, and within which limits; null: as usual. */
  readonly recoveryFile: string | null;
  readonly host: string;
  readonly port: number;
  /** The built dashboard; null: the API alone. */
  readonly webRoot: string | null;
  /** Seconds between pulls of a node's journal that no change of its folder asked for. */
  readonly pullSeconds: number;
  /** A node-cron expression (UTC) that replaces the adapters' own for their nodes; null: the adapters' own. */
  readonly readCron: string | null;
  /** A folder that adds workloads, for tests; null: none. */
  readonly extraDirectory: string | null;
}

const path = z
  .string()
  .min(1, "give a path")
  .transform((value) => (isAbsolute(value) ? value : resolve(value)));

const Environment = z.object({
  DATABASE_URL: z
    .string()
    .refine(
      (value) => /^postgres(ql)?:\/\//.test(value) && URL.canParse(value),
      "give a URL like postgresql://user@host:5432/database, with user:password where there is one",
    )
    .optional(),
  DATA_DIR: path,
  ARCHIVES: path.optional(),
  ARCHIVE_AFTER_MONTHS: integer(1, 1200, "give whole months from 1 to 1200").default(13),
  INVENTORY: path,
  NETWORKS: path.optional(),
  SPOOL: path.optional(),
  SSH_KEY: path.optional(),
  ALERTS: path.optional(),
  CREDENTIALS_KEY: path.optional(),
  LOG_LEVEL: z.enum(logLevels, `write one of ${logLevels.join(", ")}`).default("info"),
  RECOVERY: path.optional(),
  HOST: z
    .string()
    .refine((value) => value === "localhost" || isIP(value) !== 0, "give an IP address to listen on, or localhost")
    .default("127.0.0.1"),
  PORT: integer(0, 65535, "give a port number from 1 to 65535, or 0 for any free one").default(8080),
  WEB_ROOT: path.refine((value) => existsSync(value), "give the folder of the built dashboard").optional(),
  PULL_SECONDS: integer(1, 3600, "give whole seconds from 1 to 3600").default(10),
  READ_CRON: z
    .string()
    .refine((value) => cron.validate(value), 'give a cron expression such as "*/10 * * * * *" (seconds first) in UTC')
    .optional(),
  GRADIENTLAB_EXTRA: path.optional(),
});

function integer(least: number, most: number, fix: string) {
  return z
    .string()
    .regex(/^[0-9]{1,9}$/, fix)
    .transform(Number)
    .refine((value) => value >= least && value <= most, fix);
}

/**
 * Returns the configuration that `environment` holds. Empty variables count as absent.
 * @throws BadInput with every mistake at once; a database password is never part of it.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ""),
  );
  const result = Environment.safeParse(given);
  const problems: Problem[] = result.success ? [] : result.error.issues.map((issue) => problemOf(issue, given));
  if (result.success && existsSync(result.data.DATA_DIR) && !statSync(result.data.DATA_DIR).isDirectory()) {
    const value = result.data.DATA_DIR;
    problems.push({
      path: "DATA_DIR",
      value,
      message: `DATA_DIR is ${quoted(value)}, which is not a folder.`,
      fix: "Give a folder.",
    });
  }
  if (!result.success || problems.length > 0) throw new BadInput("The collector's environment", problems);
  const data = result.data;
  return {
    databaseUrl: data.DATABASE_URL ?? null,
    dataDirectory: data.DATA_DIR,
    archivesDirectory: archivesFolder(data.DATA_DIR, data.ARCHIVES),
    archiveAfterMonths: data.ARCHIVE_AFTER_MONTHS,
    inventoryFile: data.INVENTORY,
    networksDirectory: data.NETWORKS ?? null,
    spoolDirectory: data.SPOOL ?? null,
    sshKeyFile: data.SSH_KEY ?? null,
    alertsFile: data.ALERTS ?? null,
    credentialsKeyFile: data.CREDENTIALS_KEY ?? null,
    logLevel: data.LOG_LEVEL,
    recoveryFile: data.RECOVERY ?? null,
    host: data.HOST,
    port: data.PORT,
    webRoot: data.WEB_ROOT ?? null,
    pullSeconds: data.PULL_SECONDS,
    readCron: data.READ_CRON ?? null,
    extraDirectory: data.GRADIENTLAB_EXTRA ?? null,
  };
}

function problemOf(issue: z.core.$ZodIssue, given: Readonly<Record<string, string | undefined>>): Problem {
  const name = String(issue.path[0]);
  const value = name === "DATABASE_URL" ? "not a PostgreSQL URL" : quoted(given[name]);
  const fix = `${issue.message.charAt(0).toUpperCase()}${issue.message.slice(1)}.`;
  return given[name] === undefined
    ? { path: name, value: undefined, message: `${name} is missing.`, fix: "Set it in the environment to a path." }
    : { path: name, value, message: `${name} is ${value}.`, fix };
}
