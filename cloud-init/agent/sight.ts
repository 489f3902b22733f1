import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { places } from "../machine/layout.ts";
import { type ChangesMemory, listeningIn, loginEvents, type Sight, securityUpdatesIn } from "./changes.ts";
import type { NodeEvent } from "./line.ts";
import type { Measures } from "./measure.ts";

/** What is ours to hold on a machine: an event says when one of these is another. */
const held: readonly string[] = [
  "/etc/gradientlab",
  "/etc/ssh/sshd_config",
  "/etc/ssh/sshd_config.d",
  "/etc/ssh/gradientlab",
  "/etc/chromium/policies/managed",
  "/etc/opt/chrome/policies/managed",
];
const pendingEveryMs = 12 * 3600 * 1000;

/** Looks at the machine. What could not be looked at is left out and stands in `measures.errors`. */
export async function lookAtMachine(
  boot: string,
  versions: Readonly<Record<string, string>>,
  before: ChangesMemory | undefined,
  measures: Measures,
  now: Date,
): Promise<{ readonly sight: Sight; readonly events: readonly NodeEvent[]; readonly more: Partial<ChangesMemory> }> {
  const kills = await measures.attempt("changes.oom_kills", () => oomKills(readFileSync("/proc/vmstat", "utf8")));
  const hostKeys = await measures.attempt("changes.host_keys", () =>
    digests(
      readdirSync("/etc/ssh")
        .filter((name) => /^ssh_host_.*\.pub$/.test(name))
        .map((name) => join("/etc/ssh", name)),
    ),
  );
  const files = await measures.attempt("changes.files", () => digests([...held.flatMap(filesIn), ...ourUnits()]));
  const listening = await measures.attempt("changes.listening", () =>
    listeningIn(
      Object.fromEntries(["tcp", "tcp6", "udp", "udp6"].map((name) => [name, readIfThere(`/proc/net/${name}`)])),
    ),
  );
  const log = await measures.attempt("changes.log", () => sshLog(before?.cursor));
  const due = now.getTime() - Date.parse(before?.askedAt ?? "1970-01-01") > pendingEveryMs;
  const pending = due ? await measures.attempt("changes.updates", pendingUpdates) : undefined;
  return {
    sight: {
      boot,
      versions,
      ...(kills === undefined ? {} : { oomKills: kills }),
      ...(hostKeys === undefined ? {} : { hostKeys }),
      ...(files === undefined ? {} : { files }),
      ...(listening === undefined ? {} : { listening }),
      ...(pending === undefined ? {} : { pending }),
    },
    events: log === undefined ? [] : loginEvents(log.lines),
    more: {
      ...(log?.cursor === undefined ? {} : { cursor: log.cursor }),
      ...(due ? { askedAt: now.toISOString() } : {}),
    },
  };
}

function oomKills(vmstat: string): number | undefined {
  const found = /^oom_kill (\d+)$/m.exec(vmstat);
  return found === null ? undefined : Number(found[1]);
}

/** A file that may not be read is told by its size and time of change. */
function digests(paths: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const path of paths)
    try {
      found[path] = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES") {
        const { size, mtimeMs } = statSync(path);
        found[path] = `${size} ${Math.round(mtimeMs)}`;
      } else if (code !== "ENOENT" && code !== "EISDIR") throw error;
    }
  return found;
}

function filesIn(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTDIR") return [path];
    if (code === "ENOENT") return [];
    throw error;
  }
}

function ourUnits(): string[] {
  return filesIn(places.units).filter((path) => path.startsWith(`${places.units}/gradientlab-`));
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** The server's lines since the last look; the first look only notes where the log ends. */
function sshLog(cursor: string | undefined): { readonly lines: readonly string[]; readonly cursor?: string } {
  const from = cursor === undefined ? ["--lines=0"] : [`--after-cursor=${cursor}`];
  const words = ["--quiet", "--identifier=sshd", "--identifier=sshd-session", "--output=cat", "--show-cursor", ...from];
  const text = execFileSync("journalctl", words, { encoding: "utf8", timeout: 20_000, maxBuffer: 64 * 1024 * 1024 });
  const lines = text.split("\n");
  const end = lines.find((line) => line.startsWith("-- cursor: "))?.slice("-- cursor: ".length);
  return {
    lines: lines.filter((line) => line !== "" && !line.startsWith("-- cursor: ")),
    ...(end ? { cursor: end } : {}),
  };
}

function pendingUpdates(): string[] {
  const words = ["--simulate", "-o", "Debug::NoLocking=1", "upgrade"];
  return securityUpdatesIn(
    execFileSync("apt-get", words, {
      encoding: "utf8",
      timeout: 60_000,
      maxBuffer: 16 * 1024 * 1024,
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
}
