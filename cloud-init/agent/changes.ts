import type { NodeEvent } from "./line.ts";

/**
 * What the agent compares from one sample to the next on a machine, and the events that a difference tells: what only
 * a log or a comparison can show.
 */

/** What stands on the machine now. An absent part could not be looked at and is compared with nothing. */
export interface Sight {
  /** The number of processes that the kernel ended for want of memory, since boot `boot`. */
  readonly boot: string;
  readonly oomKills?: number;
  /** Digests of files, by path: the server's public keys, and what is ours to hold. */
  readonly hostKeys?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** Ports that something listens on, as `tcp/22`. */
  readonly listening?: readonly string[];
  /** Versions, by what they are of. */
  readonly versions?: Readonly<Record<string, string>>;
  /** Packages with a security update that is not installed. */
  readonly pending?: readonly string[];
}

/** What is remembered of the last sight, and since when each security update waits (RFC 3339 UTC). */
export interface ChangesMemory extends Sight {
  readonly waiting?: Readonly<Record<string, string>>;
  readonly told?: Readonly<Record<string, string>>;
  /** Where the reading of the log goes on. */
  readonly cursor?: string;
  /** When the package manager was last asked. */
  readonly askedAt?: string;
}

const week = 7 * 24 * 3600 * 1000;

/** Returns the events that `now` tells over `before`, and what to remember. The first sight of a thing tells nothing. */
export function changesOf(
  before: ChangesMemory | undefined,
  now: Sight,
  at: Date,
): { readonly events: readonly NodeEvent[]; readonly memory: ChangesMemory } {
  const events: NodeEvent[] = [];
  const kills = (now.oomKills ?? 0) - (before?.boot === now.boot ? (before.oomKills ?? 0) : 0);
  if (before !== undefined && now.oomKills !== undefined && kills > 0) events.push({ name: "out-of-memory", kills });
  for (const path of differing(before?.hostKeys, now.hostKeys)) events.push({ name: "host-key-changed", path });
  for (const path of differing(before?.files, now.files)) events.push({ name: "file-changed", path });
  for (const what of differing(before?.versions, now.versions))
    events.push({ name: "updated", what, from: before?.versions?.[what] ?? null, to: now.versions?.[what] ?? null });
  if (before?.listening !== undefined)
    for (const port of now.listening ?? [])
      if (!before.listening.includes(port)) events.push({ name: "listening-port-new", port });

  const { pending } = now;
  const waiting =
    pending === undefined
      ? (before?.waiting ?? {})
      : Object.fromEntries(pending.map((name) => [name, before?.waiting?.[name] ?? at.toISOString()]));
  const late = Object.entries(waiting).filter(([, since]) => at.getTime() - Date.parse(since) > week);
  // Told again each week for as long as it lasts.
  const untold = late.filter(([name]) => at.getTime() - Date.parse(before?.told?.[name] ?? "1970-01-01") > week);
  for (const [name, since] of untold) events.push({ name: "security-update-pending", package: name, since });
  const told = Object.fromEntries([
    ...Object.entries(before?.told ?? {}).filter(([name]) => name in waiting),
    ...untold.map(([name]) => [name, at.toISOString()]),
  ]);
  // What could not be looked at this time is compared with the time before.
  return { events, memory: { ...before, ...now, waiting, told } };
}

function differing(
  before: Readonly<Record<string, string>> | undefined,
  now: Readonly<Record<string, string>> | undefined,
): string[] {
  if (before === undefined || now === undefined) return [];
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...names].filter((name) => before[name] !== now[name]).sort();
}

/** Returns the ports that something listens on, from the texts of /proc/net/{tcp,tcp6,udp,udp6} by name. */
export function listeningIn(tables: Readonly<Record<string, string>>): string[] {
  const ports = new Set<string>();
  for (const [name, text] of Object.entries(tables)) {
    const protocol = name.startsWith("tcp") ? "tcp" : "udp";
    for (const line of text.split("\n").slice(1)) {
      const [, local = "", , state] = line.trim().split(/\s+/);
      const port = Number.parseInt(local.split(":")[1] ?? "", 16);
      // TCP_LISTEN is 0A. An unconnected UDP socket is 07; above the 32767th they are those of clients.
      if (protocol === "tcp" ? state === "0A" : state === "07" && port < 32_768) ports.add(`${protocol}/${port}`);
    }
  }
  return [...ports].sort();
}

/** Returns the packages that the text of `apt-get --simulate upgrade` would take from a security archive. */
export function securityUpdatesIn(text: string): string[] {
  return [...text.matchAll(/^Inst (\S+) .*security.*$/gim)].map((found) => found[1] ?? "").sort();
}

/** Returns the events in lines of the SSH server's log, counted: log-ins that failed by address, forwards refused. */
export function loginEvents(lines: readonly string[]): NodeEvent[] {
  const from = new Map<string, number>();
  let forwards = 0;
  for (const line of lines) {
    if (/request was denied|refused local port forward|administratively prohibited/i.test(line)) forwards++;
    if (
      !/^(Failed |Invalid user|Connection (closed|reset) by (authenticating|invalid) user|User .* not allowed)/.test(
        line,
      )
    )
      continue;
    const address = /(?:from|user \S+) ((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f:]*:[0-9a-f:]+)/.exec(line)?.[1] ?? "unknown";
    from.set(address, (from.get(address) ?? 0) + 1);
  }
  const most = [...from].sort((a, b) => b[1] - a[1]);
  const count = most.reduce((sum, [, tries]) => sum + tries, 0);
  return [
    ...(count === 0
      ? []
      : [{ name: "logins-failed", count, addresses: from.size, most: Object.fromEntries(most.slice(0, 3)) }]),
    ...(forwards === 0 ? [] : [{ name: "forwards-refused", count: forwards }]),
  ];
}
