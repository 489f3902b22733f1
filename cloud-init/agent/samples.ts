import { StringDecoder } from "node:string_decoder";
import { ExplainedError } from "../../infra/problem.ts";
import { decodeLine, type JournalLine, type LineFault } from "./line.ts";

/** The first line of what `samples` answers. A spooled file's header also says whose lines these are. */
export interface SamplesHeader {
  readonly journal: string;
  /** The oldest line that the node still has. Beyond the cursor, it means that lines were rotated away. */
  readonly first: number;
  readonly last: number;
  /** The node's clock when it answered. */
  readonly now: string;
  readonly key?: string;
  readonly machineId?: string;
}

/** The last line: `more` says that lines are left behind the last one here. */
export interface SamplesTrailer {
  readonly end: true;
  readonly count: number;
  readonly more: boolean;
}

/** A line of the answer: read, or damaged on the node's disk, which is evidence too. `n` is its number either way. */
export type SamplesItem =
  | { readonly kind: "line"; readonly n: number; readonly line: JournalLine; readonly text: string }
  | { readonly kind: "damaged"; readonly n: number; readonly fault: LineFault; readonly text: string };

/** Why an answer cannot be stored. */
export type SamplesFault =
  | "no-header"
  | "bad-header"
  | "other-journal"
  | "order"
  | "line-too-long"
  | "no-trailer"
  | "bad-trailer"
  | "wrong-count"
  | "after-trailer";

/** An answer of `samples` that is not whole: nothing of it may be stored. `fault` says why. */
export class SamplesError extends ExplainedError {
  override readonly name = "SamplesError";
  readonly fault: SamplesFault;

  constructor(fault: SamplesFault, message: string) {
    super(`samples-${fault}`, message, "Ask the node again; look at its agent's log if it answers the same.");
    this.fault = fault;
  }
}

/** Where the reader stood when it asked. */
export interface SamplesRequest {
  /** The last line the reader has of the journal it knows, or null when it has none. */
  readonly after: { readonly journal: string; readonly n: number } | null;
  readonly maxLineBytes?: number;
}

/** A reader of one answer, fed by chunks as they come. */
export interface SamplesReader {
  /** Takes a chunk and returns the items that it completed. Throws `SamplesError`. */
  push(chunk: Uint8Array): SamplesItem[];
  /** Takes the end of the stream and returns header and trailer. Throws `SamplesError` unless the answer was whole. */
  end(): { readonly header: SamplesHeader; readonly trailer: SamplesTrailer };
}

/**
 * Returns a reader that checks an answer of `samples` as it comes: header, CRC of each line, numbers in order without
 * a hole (but for what an event `journal-recovered` says is lost), trailer and count.
 */
export function samplesReader({ after, maxLineBytes = 256 * 1024 }: SamplesRequest): SamplesReader {
  const utf8 = new StringDecoder("utf8");
  let rest = "";
  let header: SamplesHeader | undefined;
  let trailer: SamplesTrailer | undefined;
  let expected = 1;
  let count = 0;

  const take = (text: string): SamplesItem | undefined => {
    if (trailer !== undefined) throw new SamplesError("after-trailer", "The answer goes on behind its trailer.");
    if (header === undefined) {
      header = headerOf(text);
      const known = after !== null && after.journal === header.journal ? after.n : 0;
      expected = Math.max(known + 1, header.first);
      return undefined;
    }
    if (text.startsWith('{"end":true')) {
      trailer = trailerOf(text);
      if (trailer.count !== count)
        throw new SamplesError("wrong-count", `The trailer counts ${trailer.count} lines, ${count} came.`);
      return undefined;
    }
    count++;
    const decoded = decodeLine(text);
    if ("fault" in decoded) return { kind: "damaged", n: expected++, fault: decoded.fault, text };
    const { line } = decoded;
    if (line.j !== header.journal)
      throw new SamplesError(
        "other-journal",
        `Line ${line.n} is of journal ${line.j}, the header says ${header.journal}.`,
      );
    if (line.n !== expected && !tellsLoss(line, expected))
      throw new SamplesError("order", `Line ${line.n} came where line ${expected} was due.`);
    expected = line.n + 1;
    return { kind: "line", n: line.n, line, text };
  };

  const lines = (text: string): SamplesItem[] => {
    const items: SamplesItem[] = [];
    rest += text;
    let from = 0;
    for (let to = rest.indexOf("\n"); to >= 0; to = rest.indexOf("\n", from)) {
      const item = take(rest.slice(from, to));
      if (item !== undefined) items.push(item);
      from = to + 1;
    }
    rest = rest.slice(from);
    if (rest.length > maxLineBytes)
      throw new SamplesError("line-too-long", `A line is longer than ${maxLineBytes} bytes.`);
    return items;
  };

  return {
    push: (chunk) => lines(utf8.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))),
    end() {
      if (header === undefined) throw new SamplesError("no-header", "The answer has no header.");
      if (trailer === undefined || rest !== "")
        throw new SamplesError("no-trailer", `The answer broke off after ${count} lines, without its trailer.`);
      return { header, trailer };
    },
  };
}

/** Returns everything that an answer holds. Throws `SamplesError` unless it was whole; nothing is returned then. */
export async function readSamples(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  request: SamplesRequest,
): Promise<{ header: SamplesHeader; items: SamplesItem[]; trailer: SamplesTrailer }> {
  const reader = samplesReader(request);
  const items: SamplesItem[] = [];
  for await (const chunk of chunks) for (const item of reader.push(chunk)) items.push(item);
  return { ...reader.end(), items };
}

/** Whether the line says that all lines from `expected` up to itself are lost. */
function tellsLoss(line: JournalLine, expected: number): boolean {
  const { event } = line;
  return (
    event?.name === "journal-recovered" &&
    Number(event.lost_from) <= expected &&
    expected <= line.n &&
    Number(event.lost_to) === line.n - 1
  );
}

function headerOf(text: string): SamplesHeader {
  const value = jsonObject(text, "bad-header");
  const { journal, first, last, now } = value;
  if (
    typeof journal !== "string" ||
    !Number.isSafeInteger(first) ||
    !Number.isSafeInteger(last) ||
    typeof now !== "string" ||
    Number.isNaN(Date.parse(now))
  )
    throw new SamplesError("bad-header", `The answer's header is ${text.slice(0, 200)}.`);
  return value as unknown as SamplesHeader;
}

function trailerOf(text: string): SamplesTrailer {
  const value = jsonObject(text, "bad-trailer");
  if (value.end !== true || !Number.isSafeInteger(value.count) || typeof value.more !== "boolean")
    throw new SamplesError("bad-trailer", `The answer's trailer is ${text.slice(0, 200)}.`);
  return value as unknown as SamplesTrailer;
}

function jsonObject(text: string, fault: SamplesFault): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new SamplesError(fault, `The answer holds ${JSON.stringify(text.slice(0, 200))} where JSON was due.`);
}
