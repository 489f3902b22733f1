import { constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { crc32c } from "../../cloud-init/agent/crc32c.ts";

/** A line of a journal as it is stored: `line` is its text as the node wrote it, `at` the instant in milliseconds. */
export interface StoredLine {
  readonly n: number;
  readonly at: number;
  readonly boot: string;
  readonly monoMs: number;
  readonly everyS: number;
  readonly line: string;
}

/** The version of the format that `packLines` writes; a pack keeps the version that it was written in. */
export const packVersion = 1;

/*
 * A pack is one zstd frame of: the length of a JSON head (32 bits, big-endian), the head, and the bytes of the columns.
 * Lines are cut into templates (what stands between values) and values; the values of one name from all lines are a
 * column. A column of numbers or instants is kept as differences, one plane of bytes after the other, the lowest first;
 * one of other texts as its distinct texts and their indexes. The checksum of a line is left out where it is right.
 */

/** The head of a pack. A template begins with 1 where the line's checksum was left out, or 0. */
interface Head {
  readonly count: number;
  readonly templates: readonly (readonly [0 | 1, ...string[]])[];
  /** In the order in which they first come up. */
  readonly columns: readonly ColumnHead[];
}

type ColumnHead =
  | string // the same text everywhere
  | readonly ["d", readonly string[], NumberHead] // distinct texts, and indexes into them
  | readonly ["n", number, NumberHead] // decimals with so many digits after the point, as integers
  | readonly ["t", NumberHead]; // instants in quotes, as milliseconds

/** Differences of which order, by what all were divided, the values they start from, and the bytes of each. */
type NumberHead = readonly [order: number, divisor: number, starts: readonly number[], bytes: number];

const level = 12;
const wordBytes = 4;

/**
 * Returns `lines` packed: `unpackLines` gives back exactly them. Any text can be packed; lines of a node that resemble
 * each other need a fraction of their size.
 */
export function packLines(lines: readonly StoredLine[]): Buffer {
  const templates = new Map<string, Template>();
  const columns = new Map<string, string[]>();
  const put = (name: string, value: string): void => {
    const column = columns.get(name);
    if (column === undefined) columns.set(name, [value]);
    else column.push(value);
  };
  for (const line of lines) {
    const { key, sealed, parts, values } = cut(line.line);
    let template = templates.get(key);
    if (template === undefined) {
      template = { index: templates.size, head: [sealed, ...parts], names: namesOf(parts) };
      templates.set(key, template);
    }
    put(own.n, text(line.n));
    put(own.at, text(line.at));
    put(own.boot, line.boot);
    put(own.monoMs, text(line.monoMs));
    put(own.everyS, text(line.everyS));
    put(own.template, text(template.index));
    for (const [index, name] of template.names.entries()) put(name, values[index] as string);
  }
  const encoded = [...columns.values()].map(encodeColumn);
  const head: Head = {
    count: lines.length,
    templates: [...templates.values()].map((template) => template.head),
    columns: encoded.map((column) => column.head),
  };
  const headBytes = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(wordBytes);
  length.writeUInt32BE(headBytes.length);
  return zstdCompressSync(Buffer.concat([length, headBytes, ...encoded.map(({ bytes }) => bytes)]), {
    params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 1 },
  });
}

/** Returns the lines of a pack. @throws Error when `pack` is not one, or damaged. */
export function unpackLines(pack: Uint8Array): StoredLine[] {
  const bytes = zstdDecompressSync(pack);
  const begin = wordBytes + bytes.readUInt32BE(0);
  const head = JSON.parse(bytes.toString("utf8", wordBytes, begin)) as Head;
  const templates = head.templates.map(([sealed, ...parts]) => ({ sealed, parts, names: namesOf(parts) }));
  let offset = begin;
  let next = 0;
  const columns = new Map<string, { readonly values: readonly string[]; at: number }>();
  // Columns lie in the order in which they first come up, so each is as long as the lines before decide.
  const decoded = (name: string, count: () => number): { readonly values: readonly string[]; at: number } => {
    const known = columns.get(name);
    if (known !== undefined) return known;
    const column = head.columns[next++];
    if (column === undefined) throw new Error("a pack lacks a column");
    const length = count();
    const read = decodeColumn(column, length, bytes, offset);
    offset = read.end;
    const made = { values: read.values, at: 0 };
    columns.set(name, made);
    return made;
  };
  const all = (): number => head.count;
  for (const name of Object.values(own)) decoded(name, all);
  const indexes = (columns.get(own.template)?.values ?? []).map(Number);
  const lengths = lengthsOf(templates, indexes);
  const take = (name: string): string => {
    const column = decoded(name, () => lengths.get(name) ?? 0);
    const value = column.values[column.at++];
    if (value === undefined) throw new Error("a column of a pack is too short");
    return value;
  };
  const lines = indexes.map((index) => {
    const template = templates[index];
    if (template === undefined) throw new Error("a pack lacks a template");
    const { sealed, parts, names } = template;
    const n = Number(take(own.n));
    const at = Number(take(own.at));
    const boot = take(own.boot);
    const monoMs = Number(take(own.monoMs));
    const everyS = Number(take(own.everyS));
    let line = parts[0] ?? "";
    for (let hole = 0; hole < names.length; hole++) line += take(names[hole] as string) + (parts[hole + 1] ?? "");
    return { n, at, boot, monoMs, everyS, line: sealed === 1 ? seal(line) : line };
  });
  if (offset !== bytes.length) throw new Error("a pack is longer than its columns");
  return lines;
}

interface Template {
  readonly index: number;
  readonly head: readonly [0 | 1, ...string[]];
  /** The column of each value. */
  readonly names: readonly string[];
}

// Columns that every line has; names from lines are JSON's member names, which begin with a quotation mark.
const own = { n: "n", at: "at", boot: "boot", monoMs: "mono", everyS: "every", template: "template" } as const;

const sealPattern = /,"crc":"([0-9a-f]{8})"\}$/;
// A member's name, or a value that is a text or a number.
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(:?)|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: such a line is kept whole, so that no part holds one
const control = /[\u0000-\u001f]/;

/** Returns a line's template and its values: the parts with the values between them are the line. */
function cut(line: string): { key: string; sealed: 0 | 1; parts: string[]; values: string[] } {
  const end = sealPattern.exec(line);
  const open = end === null ? line : line.slice(0, end.index);
  const sealed = end !== null && seal(open) === line ? 1 : 0;
  const body = sealed === 1 ? open : line;
  const parts: string[] = [];
  const values: string[] = [];
  if (control.test(body)) {
    parts.push("", "");
    values.push(body);
  } else {
    let from = 0;
    tokens.lastIndex = 0;
    for (let found = tokens.exec(body); found !== null; found = tokens.exec(body)) {
      if (found[1] === ":") continue;
      parts.push(body.slice(from, found.index));
      values.push(found[0]);
      from = found.index + found[0].length;
    }
    parts.push(body.slice(from));
  }
  return { key: `${sealed}${parts.join("\n")}`, sealed, parts, values };
}

function seal(open: string): string {
  return `${open},"crc":"${crc32c(Buffer.from(open, "utf8")).toString(16).padStart(8, "0")}"}`;
}

const lastName = /"[^"]*":[^"]*$/;

/** Returns the column of each value: the member's name that stands before it, and how often it stood before. */
function namesOf(parts: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return parts.slice(0, -1).map((part) => {
    const name = lastName.exec(part)?.[0] ?? '"';
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return `${name}${before}`;
  });
}

function lengthsOf(templates: readonly { names: readonly string[] }[], indexes: readonly number[]) {
  const lengths = new Map<string, number>();
  for (const index of indexes) {
    for (const name of templates[index]?.names ?? []) lengths.set(name, (lengths.get(name) ?? 0) + 1);
  }
  return lengths;
}

function text(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

const nothing = Buffer.alloc(0);

function encodeColumn(values: readonly string[]): { head: ColumnHead; bytes: Buffer } {
  const [first = ""] = values;
  if (values.every((value) => value === first)) return { head: first, bytes: nothing };
  const instants = instantsOf(values);
  if (instants !== null) {
    const { head, bytes } = encodeNumbers(instants);
    return { head: ["t", head], bytes };
  }
  const decimals = decimalsOf(values);
  if (decimals !== null) {
    const { head, bytes } = encodeNumbers(decimals.numbers);
    return { head: ["n", decimals.digits, head], bytes };
  }
  const places = new Map<string, number>();
  const indexes = values.map((value) => {
    const place = places.get(value) ?? places.size;
    places.set(value, place);
    return place;
  });
  const { head, bytes } = encodeNumbers(indexes);
  return { head: ["d", [...places.keys()], head], bytes };
}

function decodeColumn(
  head: ColumnHead,
  count: number,
  bytes: Buffer,
  offset: number,
): { values: readonly string[]; end: number } {
  if (typeof head === "string") return { values: new Array<string>(count).fill(head), end: offset };
  const numbers = (one: NumberHead) => decodeNumbers(one, count, bytes, offset);
  switch (head[0]) {
    case "d": {
      const { values, end } = numbers(head[2]);
      return { values: values.map((index) => head[1][index] as string), end };
    }
    case "n": {
      const { values, end } = numbers(head[2]);
      return { values: values.map((value) => decimal(value, head[1])), end };
    }
    case "t": {
      const { values, end } = numbers(head[1]);
      return { values: values.map(instant), end };
    }
    default:
      return head satisfies never;
  }
}

const instantPattern = /^"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z"$/;

function instantsOf(values: readonly string[]): number[] | null {
  const numbers: number[] = [];
  for (const value of values) {
    if (!instantPattern.test(value)) return null;
    const number = Date.parse(value.slice(1, -1));
    if (Number.isNaN(number) || instant(number) !== value) return null;
    numbers.push(number);
  }
  return numbers;
}

function instant(milliseconds: number): string {
  return `"${new Date(milliseconds).toISOString()}"`;
}

// Second differences of numbers below this, and twice them, are exact.
const most = 2 ** 50;
// As JSON.stringify writes decimals: no zero too many, and no minus before nothing.
const decimalPattern = /^(?:0|-?[1-9][0-9]{0,15}|-?(?:0|[1-9][0-9]{0,15})\.([0-9]{0,8}[1-9]))$/;

/** Returns the values as integers of 10^-digits; null where one of them would not come back as it is written. */
function decimalsOf(values: readonly string[]): { digits: number; numbers: number[] } | null {
  const fractions: string[] = [];
  let digits = 0;
  for (const value of values) {
    const found = decimalPattern.exec(value);
    if (found === null) return null;
    const fraction = found[1] ?? "";
    fractions.push(fraction);
    digits = Math.max(digits, fraction.length);
  }
  const numbers: number[] = [];
  for (const [index, value] of values.entries()) {
    const fraction = fractions[index] as string;
    const whole = fraction === "" ? value : value.slice(0, -fraction.length - 1);
    const number = Number(whole + fraction.padEnd(digits, "0"));
    if (Math.abs(number) >= most) return null;
    numbers.push(number);
  }
  return { digits, numbers };
}

function decimal(value: number, digits: number): string {
  if (digits === 0) return String(value);
  const figures = String(Math.abs(value)).padStart(digits + 1, "0");
  const fraction = figures.slice(-digits).replace(/0+$/, "");
  return `${value < 0 ? "-" : ""}${figures.slice(0, -digits)}${fraction === "" ? "" : `.${fraction}`}`;
}

const orders = [0, 1, 2];

function encodeNumbers(numbers: readonly number[]): { head: NumberHead; bytes: Buffer } {
  let best: { order: number; starts: number[]; rest: number[]; cost: number } | undefined;
  let rest = [...numbers];
  const starts: number[] = [];
  for (const order of orders) {
    if (order > 0) {
      if (rest.length < 2) break;
      starts.push(rest[0] as number);
      rest = rest.slice(1).map((value, index) => value - (rest[index] as number));
    }
    const cost = rest.reduce((sum, value) => sum + Math.log2(1 + Math.abs(value)), 0);
    if (best === undefined || cost < best.cost) best = { order, starts: [...starts], rest, cost };
  }
  if (best === undefined) throw new Error("a column has no numbers");
  const divisor = best.rest.reduce((one, other) => divisorOf(one, Math.abs(other)), 0) || 1;
  const codes = best.rest.map((value) => {
    const share = value / divisor;
    return share < 0 ? -2 * share - 1 : 2 * share;
  });
  const largest = codes.reduce((one, other) => Math.max(one, other), 0);
  const width = largest === 0 ? 0 : Math.floor(Math.log2(largest) / 8) + 1;
  const bytes = Buffer.alloc(codes.length * width);
  for (const [index, code] of codes.entries()) {
    let left = code;
    for (let plane = 0; plane < width; plane++) {
      bytes[plane * codes.length + index] = left % 256;
      left = Math.floor(left / 256);
    }
    if (left !== 0) throw new Error("a number does not fit its bytes");
  }
  return { head: [best.order, divisor, best.starts, width], bytes };
}

function decodeNumbers(
  [order, divisor, starts, width]: NumberHead,
  count: number,
  bytes: Buffer,
  offset: number,
): { values: number[]; end: number } {
  const length = count - order;
  const end = offset + length * width;
  if (length < 0 || end > bytes.length) throw new Error("a column of a pack is too short");
  let values = Array.from({ length }, (_, index) => {
    let code = 0;
    for (let plane = width - 1; plane >= 0; plane--) code = code * 256 + (bytes[offset + plane * length + index] ?? 0);
    return (code % 2 === 1 ? -(code + 1) / 2 : code / 2) * divisor;
  });
  for (const start of starts.toReversed()) {
    let sum = start;
    values = [start, ...values.map((value) => (sum += value))];
  }
  return { values, end };
}

function divisorOf(one: number, other: number): number {
  let [a, b] = [one, other];
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
