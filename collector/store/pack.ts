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

const level = 6;
const wordBytes = 4;

/**
 * Returns `lines` packed: `unpackLines` gives back exactly them. Any text can be packed; lines of a node that resemble
 * each other need a fraction of their size.
 */
export function packLines(lines: readonly StoredLine[]): Buffer {
  const columns = new Map<string, string[]>();
  const column = (name: string): string[] => {
    const known = columns.get(name);
    if (known !== undefined) return known;
    const made: string[] = [];
    columns.set(name, made);
    return made;
  };
  const [n, at] = [column(own.n), column(own.at)];
  const [boot, monoMs, everyS] = [column(own.boot), column(own.monoMs), column(own.everyS)];
  const which = column(own.template);
  const templates = new Map<string, Template>();
  const recent: Template[] = [];
  for (const line of lines) {
    const { sealed, body } = unsealed(line.line);
    const escaped = body.includes("\\");
    let values: readonly string[] | null = null;
    let template: Template | undefined;
    for (let index = 0; index < recent.length && values === null && !escaped; index++) {
      template = recent[index] as Template;
      if (template.head[0] !== sealed) continue;
      values = valuesOf(template, body);
      if (values !== null && index > 0) recent.unshift(...recent.splice(index, 1));
    }
    if (values === null || template === undefined) {
      const found = cut(body);
      const key = `${sealed}${found.parts.join("\n")}`;
      values = found.values;
      template = templates.get(key);
      if (template === undefined) {
        const { parts } = found;
        template = { index: templates.size, head: [sealed, ...parts], columns: namesOf(parts).map(column) };
        templates.set(key, template);
        recent.unshift(template);
        if (recent.length > mostRecent) recent.pop();
      }
    }
    n.push(text(line.n));
    at.push(text(line.at));
    boot.push(line.boot);
    monoMs.push(text(line.monoMs));
    everyS.push(text(line.everyS));
    which.push(text(template.index));
    for (let index = 0; index < values.length; index++) template.columns[index]?.push(values[index] as string);
  }
  const encoded = [...columns.values()].map(encodeColumn);
  const head: Head = {
    count: lines.length,
    templates: [...templates.values()].map((template) => template.head),
    columns: encoded.map(({ head: one }) => one),
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
  const columns = new Map<string, Decoded>();
  // Columns lie in the order in which they first come up, so each is as long as the lines before decide.
  const decoded = (name: string, count: () => number): Decoded => {
    const known = columns.get(name);
    if (known !== undefined) return known;
    const column = head.columns[next++];
    if (column === undefined) throw new Error("a pack lacks a column");
    const { values, end } = decodeColumn(column, count(), bytes, offset);
    offset = end;
    const made = { values, taken: 0, same: typeof column === "string" ? column : null };
    columns.set(name, made);
    return made;
  };
  const all = (): number => head.count;
  const [n, at] = [decoded(own.n, all), decoded(own.at, all)];
  const [boot, monoMs, everyS] = [decoded(own.boot, all), decoded(own.monoMs, all), decoded(own.everyS, all)];
  const indexes = decoded(own.template, all).values.map(Number);
  const lengths = lengthsOf(templates, indexes);
  const formOf = (index: number): Form => {
    const template = templates[index];
    if (template === undefined) throw new Error("a pack lacks a template");
    const { sealed, parts, names } = template;
    const columnsOf = names.map((name) => decoded(name, () => lengths.get(name) ?? 0));
    // What is the same everywhere is a part of the text between the others.
    const form = { sealed, begin: parts[0] ?? "", holes: [] as Decoded[], ends: [] as string[] };
    for (const [hole, column] of columnsOf.entries()) {
      const end = parts[hole + 1] ?? "";
      if (column.same !== null) {
        if (form.ends.length === 0) form.begin += column.same + end;
        else form.ends[form.ends.length - 1] += column.same + end;
      } else {
        form.holes.push(column);
        form.ends.push(end);
      }
    }
    return form;
  };
  const forms = new Map<number, Form>();
  const lines = indexes.map((index) => {
    let form = forms.get(index);
    if (form === undefined) {
      form = formOf(index);
      forms.set(index, form);
    }
    const { sealed, holes, ends } = form;
    let line = form.begin;
    for (let hole = 0; hole < holes.length; hole++) line += take(holes[hole] as Decoded) + ends[hole];
    return {
      n: Number(take(n)),
      at: Number(take(at)),
      boot: take(boot),
      monoMs: Number(take(monoMs)),
      everyS: Number(take(everyS)),
      line: sealed === 1 ? seal(line) : line,
    };
  });
  if (offset !== bytes.length) throw new Error("a pack is longer than its columns");
  return lines;
}

interface Decoded {
  readonly values: readonly string[];
  taken: number;
  /** The value where it is the same everywhere. */
  readonly same: string | null;
}

/** A template whose values of one kind only are a part of it: the text before, and the text after each other value. */
interface Form {
  readonly sealed: 0 | 1;
  readonly begin: string;
  readonly holes: readonly Decoded[];
  readonly ends: readonly string[];
}

function take(column: Decoded): string {
  const value = column.values[column.taken++];
  if (value === undefined) throw new Error("a column of a pack is too short");
  return value;
}

interface Template {
  readonly index: number;
  readonly head: readonly [0 | 1, ...string[]];
  /** The column of each value. */
  readonly columns: readonly string[][];
}

// Columns that every line has; names from lines are JSON's member names, which begin with a quotation mark.
const own = { n: "n", at: "at", boot: "boot", monoMs: "mono", everyS: "every", template: "template" } as const;

const sealPattern = /,"crc":"([0-9a-f]{8})"\}$/;
// A member's name, or a value that is a text or a number.
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(:?)|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: such a line is kept whole, so that no part holds one
const control = /[\u0000-\u001f]/;

/** Returns a line without its checksum where that is right (1), or whole (0). */
function unsealed(line: string): { sealed: 0 | 1; body: string } {
  const end = sealPattern.exec(line);
  const open = end === null ? line : line.slice(0, end.index);
  return end !== null && seal(open) === line ? { sealed: 1, body: open } : { sealed: 0, body: line };
}

/** Returns a line's values, and the parts between them that are its template: one after the other they are the line. */
function cut(body: string): { parts: string[]; values: string[] } {
  if (control.test(body)) return { parts: ["", ""], values: [body] };
  const parts: string[] = [];
  const values: string[] = [];
  let from = 0;
  tokens.lastIndex = 0;
  for (let found = tokens.exec(body); found !== null; found = tokens.exec(body)) {
    if (found[1] === ":") continue;
    parts.push(body.slice(from, found.index));
    values.push(found[0]);
    from = found.index + found[0].length;
  }
  parts.push(body.slice(from));
  return { parts, values };
}

// Templates that a line is held against before it is cut: a node's lines are of few.
const mostRecent = 4;

/** Returns the values of a line without backslashes where it is of this template; null where it is not, or may not be. */
function valuesOf({ head, columns }: Template, body: string): string[] | null {
  const values: string[] = [];
  let from = 0;
  for (let hole = 0; hole < columns.length; hole++) {
    const part = head[hole + 1] as string;
    if (!body.startsWith(part, from)) return null;
    from += part.length;
    const end = valueEnd(body, from, columns[hole]?.at(-1));
    if (end === -1) return null;
    values.push(body.slice(from, end));
    from = end;
  }
  const rest = head[columns.length + 1] as string;
  return body.length === from + rest.length && body.startsWith(rest, from) ? values : null;
}

const [quote, minus, point, zero, nine] = [34, 45, 46, 48, 57] as const;

/** Returns where the text or plain number that begins at `from` ends; -1 where there is none. `likely` is a guess. */
function valueEnd(body: string, from: number, likely: string | undefined): number {
  if (body.charCodeAt(from) === quote) {
    if (likely !== undefined && body.startsWith(likely, from)) return from + likely.length;
    return body.indexOf('"', from + 1) + 1 || -1;
  }
  const begin = body.charCodeAt(from) === minus ? from + 1 : from;
  let at = digitsEnd(body, begin);
  if (at === begin) return -1;
  if (body.charCodeAt(at) === point) {
    const end = digitsEnd(body, at + 1);
    if (end > at + 1) at = end;
  }
  return at;
}

function digitsEnd(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code >= zero && code <= nine; code = text.charCodeAt(at)) at++;
  return at;
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
      return { values: instantTexts(values), end };
    }
    default:
      return head satisfies never;
  }
}

const instantPattern = /^"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z"$/;
const dayMs = 86_400_000;

function instantsOf(values: readonly string[]): number[] | null {
  const numbers: number[] = [];
  let day = "";
  let begin = 0;
  for (const value of values) {
    if (!instantPattern.test(value)) return null;
    if (!value.startsWith(day, 1) || day === "") {
      day = value.slice(1, 11);
      begin = Date.parse(`${day}T00:00:00.000Z`);
      // 29 February of a year that has none is the first of March to some.
      if (Number.isNaN(begin) || dayText(begin) !== day) return null;
    }
    const [hours, minutes, seconds] = [
      Number(value.slice(12, 14)),
      Number(value.slice(15, 17)),
      Number(value.slice(18, 20)),
    ];
    if (hours > 23 || minutes > 59 || seconds > 59) return null;
    numbers.push(begin + ((hours * 60 + minutes) * 60 + seconds) * 1000 + Number(value.slice(21, 24)));
  }
  return numbers;
}

/** Returns instants in milliseconds as they stand in lines. */
function instantTexts(instants: readonly number[]): string[] {
  let begin = Number.NaN;
  let day = "";
  return instants.map((at) => {
    const from = Math.floor(at / dayMs) * dayMs;
    if (from !== begin) [begin, day] = [from, dayText(from)];
    const ms = at - from;
    const two = (value: number): string => (value < 10 ? `0${value}` : String(value));
    const time = `${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}`;
    return `"${day}T${time}.${String(ms % 1000).padStart(3, "0")}Z"`;
  });
}

function dayText(at: number): string {
  return new Date(at).toISOString().slice(0, -14);
}

// Second differences of numbers below this, and twice them, are exact.
const most = 2 ** 50;
// As JSON.stringify writes decimals: no zero too many, and no minus before nothing.
const decimalPattern = /^(?:0|-?[1-9][0-9]{0,15}|-?(?:0|[1-9][0-9]{0,15})\.([0-9]{0,8}[1-9]))$/;

/** Returns the values as integers of 10^-digits; null where one of them would not come back as it is written. */
function decimalsOf(values: readonly string[]): { digits: number; numbers: number[] } | null {
  const places: number[] = [];
  let digits = 0;
  for (const value of values) {
    if (!decimalPattern.test(value)) return null;
    const dot = value.indexOf(".");
    const fraction = dot === -1 ? 0 : value.length - dot - 1;
    places.push(fraction);
    digits = Math.max(digits, fraction);
  }
  const numbers: number[] = [];
  for (const [index, value] of values.entries()) {
    const fraction = places[index] as number;
    const figures = fraction === 0 ? value : value.slice(0, -fraction - 1) + value.slice(-fraction);
    // As text where the product may be rounded.
    const number =
      figures.length + digits - fraction <= exactFigures
        ? Number(figures) * 10 ** (digits - fraction)
        : Number(figures + "0".repeat(digits - fraction));
    if (Math.abs(number) >= most) return null;
    numbers.push(number);
  }
  return { digits, numbers };
}

// So many decimal figures are exact in a number, and come back from it as they were.
const exactFigures = 15;
// What is smaller than 10^-6 is written with an exponent.
const plainDigits = 6;

function decimal(value: number, digits: number): string {
  if (digits === 0) return String(value);
  if (digits <= plainDigits && Math.abs(value) < 10 ** exactFigures) return String(value / 10 ** digits);
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
  const values = new Array<number>(count);
  for (let index = 0; index < length; index++) {
    let code = 0;
    for (let plane = width - 1; plane >= 0; plane--) code = code * 256 + (bytes[offset + plane * length + index] ?? 0);
    values[order + index] = (code % 2 === 1 ? -(code + 1) / 2 : code / 2) * divisor;
  }
  // The differences of each order, from the last one on, become those of the order before it.
  for (let begin = order - 1; begin >= 0; begin--) {
    let sum = starts[begin] as number;
    values[begin] = sum;
    for (let index = begin + 1; index < count; index++) {
      sum += values[index] as number;
      values[index] = sum;
    }
  }
  return { values, end };
}

function divisorOf(one: number, other: number): number {
  let [a, b] = [one, other];
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
