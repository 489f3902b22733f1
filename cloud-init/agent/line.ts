import { crc32c } from "./crc32c.ts";

/** The version of the line format that this agent writes. */
export const lineVersion = 1;

/** A failed measure: the field it would have filled, and a short code that says why. */
export interface MeasureError {
  readonly field: string;
  readonly code: string;
}

/** What happened, on an event line. `name` is open: readers keep names they do not know. */
export interface NodeEvent {
  readonly name: string;
  readonly [detail: string]: unknown;
}

/**
 * One line of a node's journal. An absent field was not measured. Unknown fields are kept by every reader.
 * `n` counts 1, 2, 3... within the journal `j`; `mono_ms` is the time since boot; `every_s` the distance between samples.
 */
export interface JournalLine {
  readonly v: number;
  readonly j: string;
  readonly n: number;
  readonly boot: string;
  readonly at: string;
  readonly mono_ms: number;
  readonly kind: "sample" | "event";
  readonly every_s: number;
  readonly event?: NodeEvent;
  readonly machine?: MachineMeasures;
  readonly runtime?: RuntimeMeasures;
  readonly app?: AppMeasures;
  readonly net?: NetMeasures;
  readonly errors?: readonly MeasureError[];
  readonly [unknown: string]: unknown;
}

/** The machine: bytes are bytes, `load1` is the one-minute load average, `steal_ms` counts since boot. */
export interface MachineMeasures {
  readonly load1?: number;
  readonly cpus?: number;
  readonly mem_total_bytes?: number;
  readonly mem_available_bytes?: number;
  readonly swap_total_bytes?: number;
  readonly swap_used_bytes?: number;
  readonly disk_total_bytes?: number;
  readonly disk_free_bytes?: number;
  readonly steal_ms?: number;
  readonly net_rx_bytes?: number;
  readonly net_tx_bytes?: number;
}

/**
 * The workload's runtime: `restarts` counts since the journal began, `pss_bytes` is the proportional set size of all its
 * processes, `memory_stall_percent` the share of the last five minutes in which one of them waited for memory.
 */
export interface RuntimeMeasures {
  readonly state?: "up" | "down";
  readonly reason?: string;
  readonly pid?: number;
  readonly restarts?: number;
  readonly since?: string;
  readonly pss_bytes?: number;
  readonly memory_stall_percent?: number;
}

/** The app: `looked` marks a sample for which the app's own page was opened; `worker` is what the browser listed. */
export interface AppMeasures {
  readonly state?: "up" | "down";
  readonly reason?: string;
  readonly version?: string;
  readonly worker?: "awake" | "asleep";
  readonly heartbeat_age_s?: number;
  readonly network_node_id?: string;
  readonly looked?: boolean;
}

/** The way to the network: milliseconds for each step that was tried. */
export interface NetMeasures {
  readonly dns_ms?: number;
  readonly connect_ms?: number;
  readonly tls_ms?: number;
  /** The answer of the network's STUN server, over UDP. */
  readonly udp_ms?: number;
}

/** Why a line could not be read. */
export type LineFault = "not-json" | "no-crc" | "bad-crc" | "bad-shape" | "unknown-version";

const crcSuffix = /,"crc":"([0-9a-f]{8})"\}$/;

/** Returns the line as text without the newline: its JSON with the CRC-32C of the bytes before it as the last member. */
export function encodeLine(line: JournalLine): string {
  const open = JSON.stringify(line).slice(0, -1);
  return `${open},"crc":"${crc32c(Buffer.from(open, "utf8")).toString(16).padStart(8, "0")}"}`;
}

/** Returns the line that `text` (without its newline) holds, `crc` left out, or the fault that makes it unreadable. */
export function decodeLine(text: string): { line: JournalLine } | { fault: LineFault } {
  const match = crcSuffix.exec(text);
  if (match === null) return { fault: text.startsWith("{") && text.endsWith("}") ? "no-crc" : "not-json" };
  const open = text.slice(0, match.index);
  if (crc32c(Buffer.from(open, "utf8")) !== Number.parseInt(match[1] ?? "", 16)) return { fault: "bad-crc" };
  let value: unknown;
  try {
    value = JSON.parse(`${open}}`);
  } catch {
    return { fault: "not-json" };
  }
  if (!isLine(value)) return { fault: "bad-shape" };
  return value.v === lineVersion ? { line: value } : { fault: "unknown-version" };
}

function isLine(value: unknown): value is JournalLine {
  if (typeof value !== "object" || value === null) return false;
  const line = value as Record<string, unknown>;
  return (
    Number.isSafeInteger(line.v) &&
    typeof line.j === "string" &&
    Number.isSafeInteger(line.n) &&
    (line.n as number) > 0 &&
    typeof line.boot === "string" &&
    typeof line.at === "string" &&
    !Number.isNaN(Date.parse(line.at)) &&
    typeof line.mono_ms === "number" &&
    (line.kind === "sample" || line.kind === "event") &&
    typeof line.every_s === "number"
  );
}
