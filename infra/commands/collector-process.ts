import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { accessKeyFile } from "../access-keys.ts";
import { checkout } from "../engine/environment.ts";
import { ExplainedError } from "../problem.ts";

/** Where a collector keeps and finds its things, and where it serves. */
export interface CollectorPlace {
  readonly home: string;
  readonly port: number;
  readonly env: NodeJS.ProcessEnv;
}

/** A collector that runs as a child of this process. */
export interface CollectorProcess {
  /**
   * Resolves with the page's address when the collector serves; rejects with what it printed if it ends before:
   * `bad-input` with its words alone where a user can correct it, else `collector-ended`.
   */
  readonly ready: Promise<string>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Asks it to stop and waits; kills it after `deadlineMs`. */
  stop(deadlineMs: number): Promise<void>;
}

/** Files of a home folder that need not be there, by the variable that names each to a collector. */
const optionalFiles = { ALERTS: "alerts.json", CREDENTIALS_KEY: "credentials.key", RECOVERY: "recovery.json" };

/** Returns the environment of a collector that works for this home folder. */
export function collectorEnvironment(place: CollectorPlace): NodeJS.ProcessEnv {
  const { home, port, env } = place;
  const inHome = Object.entries(optionalFiles).map(([name, file]) => [name, join(home, file)] as const);
  return {
    ...env,
    DATA_DIR: join(home, "data"),
    INVENTORY: join(home, "inventory.json"),
    NETWORKS: join(home, "networks"),
    SPOOL: join(home, "spool"),
    ...Object.fromEntries(inHome.filter(([, file]) => existsSync(file))),
    SSH_KEY: accessKeyFile(home, "collector"),
    WEB_ROOT: join(checkout, "collector", "web", "dist"),
    PORT: String(port),
  };
}

/**
 * Starts the collector in a session of its own, so that Ctrl-C reaches it only through us, with an IPC channel whose
 * end makes it stop: it cannot outlive this process. Its log goes to `logs/collector.log` of the home folder.
 */
export function startCollector(place: CollectorPlace): CollectorProcess {
  const logFile = join(place.home, "logs", "collector.log");
  mkdirSync(join(place.home, "logs"), { recursive: true, mode: 0o700 });
  const log = openSync(logFile, "a", 0o600);
  const logStart = readFileSync(logFile, "utf8").length;
  const child: ChildProcess = spawn(process.execPath, [join(checkout, "collector", "main.ts")], {
    env: collectorEnvironment(place),
    stdio: ["ignore", log, log, "ipc"],
    detached: true,
  });
  closeSync(log);

  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
  const ready = new Promise<string>((resolve, reject) => {
    child.on("message", (message) => {
      const { ready: up, url } = message as { ready?: boolean; url?: string };
      if (up && url !== undefined) resolve(url);
    });
    ended.then(({ code, signal }) => {
      const said = readFileSync(logFile, "utf8").slice(logStart).trim();
      const { message, fix } = lastSaid(said);
      const how = signal ?? `exit code ${code}`;
      reject(
        code === 2
          ? new ExplainedError("bad-input", message, fix)
          : new ExplainedError(
              "collector-ended",
              `The collector ended before it was ready (${how}): ${`${message} ${fix}`.trimEnd()}`,
              `Its log is ${logFile}.`,
            ),
      );
    }, reject);
  });
  // Whoever waits for `ready` gets its rejection; a caller that stops the collector first need not.
  ready.catch(() => undefined);

  return {
    ready,
    ended,
    async stop(deadlineMs) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Returns what the last line of the log says: its message and, where given, the fix. */
function lastSaid(log: string): { readonly message: string; readonly fix: string } {
  const line = log.split("\n").at(-1) ?? "";
  try {
    const { msg = line, fix = "" } = JSON.parse(line) as { msg?: string; fix?: string };
    return { message: msg, fix };
  } catch (error) {
    if (error instanceof SyntaxError) return { message: line, fix: "" };
    throw error;
  }
}
