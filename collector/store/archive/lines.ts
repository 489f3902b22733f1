import { crc32c } from "../../../cloud-init/agent/crc32c.ts";
import type { KnownLine } from "../packing.ts";
import type { Cell, ColumnSpec, Columns } from "./parquet.ts";

/*
 * The columns of an archive of lines: what a line of a journal says, each field of a column of its own, and what it takes
 * to have the line back byte for byte. That is `form`: the line without its checksum, in which 0 stands for the value of
 * every field whose column holds it. A line that does not come back so stands in `line` as it is.
 */

/** Whose line it is. */
export interface LineOwner {
  readonly node: string;
  readonly group: string;
  readonly slot: number;
  readonly journal: string;
}

interface Field {
  readonly spec: ColumnSpec;
  /** The members' names on the way to the field. */
  readonly path: readonly [string] | readonly [string, string];
}

const field = (path: string, type: ColumnSpec["type"], unit?: string): Field => {
  const names = path.split(".") as [string] | [string, string];
  return {
    spec: { name: names.join("_"), type, required: false, ...(unit === undefined ? {} : { unit }) },
    path: names,
  };
};

const owners: readonly ColumnSpec[] = [
  { name: "node", type: "text", required: true },
  { name: "node_group", type: "text", required: true },
  { name: "slot", type: "int64", required: true },
  { name: "journal", type: "text", required: true },
  { name: "n", type: "int64", required: true },
  // Not "at", which is a word of SQL.
  { name: "at_utc", type: "instant", required: true },
  { name: "boot", type: "text", required: true },
  { name: "mono_ms", type: "double", required: true, unit: "ms" },
  { name: "kind", type: "text", required: true },
  { name: "every_s", type: "double", required: true, unit: "s" },
];

// A value of another type than its column's stays in `form`, and the column has none.
const fields: readonly Field[] = [
  field("event.name", "text"),
  field("machine.load1", "double"),
  field("machine.cpus", "double"),
  field("machine.mem_total_bytes", "int64", "bytes"),
  field("machine.mem_available_bytes", "int64", "bytes"),
  field("machine.swap_total_bytes", "int64", "bytes"),
  field("machine.swap_used_bytes", "int64", "bytes"),
  field("machine.disk_total_bytes", "int64", "bytes"),
  field("machine.disk_free_bytes", "int64", "bytes"),
  field("machine.steal_ms", "int64", "ms"),
  field("machine.net_rx_bytes", "int64", "bytes"),
  field("machine.net_tx_bytes", "int64", "bytes"),
  field("runtime.state", "text"),
  field("runtime.reason", "text"),
  field("runtime.pid", "int64"),
  field("runtime.restarts", "int64"),
  field("runtime.since", "instant"),
  field("runtime.pss_bytes", "int64", "bytes"),
  field("app.state", "text"),
  field("app.reason", "text"),
  field("app.version", "text"),
  field("app.worker", "text"),
  field("app.heartbeat_age_s", "double", "s"),
  field("app.network_node_id", "text"),
  field("app.looked", "boolean"),
  field("net.dns_ms", "double", "ms"),
  field("net.connect_ms", "double", "ms"),
  field("net.tls_ms", "double", "ms"),
  field("net.udp_ms", "double", "ms"),
];

/** The columns that a reader of the measures wants; the others serve to have the line back. */
export const measureColumns: readonly ColumnSpec[] = [...owners, ...fields.map(({ spec }) => spec)];

/** The columns of an archive of lines. */
export const lineColumns: readonly ColumnSpec[] = [
  ...measureColumns,
  { name: "form", type: "text", required: false },
  { name: "line", type: "text", required: false },
];

// The members that the columns of every line hold, in a line as the agent writes it.
const ownMembers = ["j", "n", "at", "boot", "mono_ms", "kind", "every_s"] as const;

type Row = Readonly<Record<string, Cell>>;

/** Returns the row of a line. */
export function rowOf(owner: LineOwner, line: KnownLine): Row {
  const { node, group, slot, journal } = owner;
  const { n, at, boot, monoMs, kind, everyS } = line;
  const own = { node, node_group: group, slot, journal, n, at_utc: at, boot, mono_ms: monoMs, kind, every_s: everyS };
  const parsed = parsedLine(line.line);
  const measured: Record<string, Cell> = {};
  for (const { spec, path } of fields) measured[spec.name] = cellOf(valueAt(parsed, path), spec.type);
  const row = { ...own, ...measured, form: parsed === null ? null : formOf(parsed, measured), line: null };
  return row.form !== null && restored(row) === line.line ? row : { ...row, form: null, line: line.line };
}

/** Returns the columns of rows. */
export function columnsOf(rows: readonly Row[]): Columns {
  return Object.fromEntries(lineColumns.map(({ name }) => [name, rows.map((row) => row[name] ?? null)]));
}

/** Returns the line at a place of a row group. @throws Error when the row holds none. */
export function lineIn(columns: Columns, place: number): KnownLine {
  const row: Record<string, Cell> = {};
  for (const { name } of lineColumns) row[name] = columns[name]?.[place] ?? null;
  const text = row.line ?? restored(row);
  return {
    n: row.n as number,
    at: row.at_utc as number,
    boot: row.boot as string,
    monoMs: row.mono_ms as number,
    kind: row.kind as KnownLine["kind"],
    everyS: row.every_s as number,
    line: text as string,
  };
}

type Parsed = Record<string, unknown>;

/** Returns the members of a line that is what `JSON.stringify` makes of them, its checksum behind it; null of any other. */
function parsedLine(text: string): Parsed | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
  if (!isObject(value)) return null;
  const { crc, ...members } = value;
  return members;
}

function isObject(value: unknown): value is Parsed {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(parsed: Parsed | null, [first, second]: Field["path"]): unknown {
  const value = parsed?.[first];
  if (second === undefined) return value;
  return isObject(value) ? value[second] : undefined;
}

function cellOf(value: unknown, type: ColumnSpec["type"]): Cell {
  switch (type) {
    case "text":
      return typeof value === "string" ? value : null;
    case "int64":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? (value as number) : null;
    case "double":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "instant":
      return typeof value === "string" && instantText(Date.parse(value)) === value ? Date.parse(value) : null;
    default:
      return type satisfies never;
  }
}

function instantText(ms: number): string | null {
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}

function formOf(parsed: Parsed, measured: Row): string {
  // Of what is put into, a copy.
  const parts = Object.entries(parsed).map(([name, part]) => [name, isObject(part) ? { ...part } : part]);
  const form = Object.fromEntries(parts) as Parsed;
  for (const name of ownMembers) if (name in form) form[name] = 0;
  for (const { spec, path } of fields) if (measured[spec.name] !== null) put(form, path, 0);
  return JSON.stringify(form);
}

function put(form: Parsed, [first, second]: Field["path"], value: unknown): void {
  if (second === undefined) form[first] = value;
  else (form[first] as Parsed)[second] = value;
}

/** Returns the line that a row with a form stands for. */
function restored(row: Row): string {
  const form = JSON.parse(row.form as string) as Parsed;
  const own: Parsed = { ...row, j: row.journal, at: instantText(row.at_utc as number) };
  for (const name of ownMembers) if (name in form) form[name] = own[name];
  for (const { spec, path } of fields) {
    const cell = row[spec.name] ?? null;
    if (cell !== null) put(form, path, spec.type === "instant" ? instantText(cell as number) : cell);
  }
  const open = JSON.stringify(form).slice(0, -1);
  return `${open},"crc":"${crc32c(Buffer.from(open, "utf8")).toString(16).padStart(8, "0")}"}`;
}
