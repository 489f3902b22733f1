import { createHash } from "node:crypto";

/** The links of the chains of evidence, as `migrations/0003-chains.sql` makes them: what a check compares with. */

/** What the hash of a reading's header covers. */
export interface ReadingHeader {
  readonly network: string;
  readonly account: string;
  /** The place in its chain, from 1. */
  readonly n: string;
  /** The hash of the header before; null for the first. */
  readonly previous: string | null;
  readonly source: string;
  readonly started_at: Date;
  readonly finished_at: Date;
  readonly http_status: number | null;
  readonly outcome: string;
  readonly reason: string | null;
  readonly sha256: string;
  readonly size: number;
  readonly redactor: number;
}

/** Returns the SHA-256 of a reading's header in hex: of each field's length in bytes, a colon, its text and a comma. */
export function hashOfHeader(header: ReadingHeader): string {
  const fields = [
    "reading/1",
    header.network,
    header.account,
    header.n,
    header.previous,
    header.source,
    header.started_at.getTime(),
    header.finished_at.getTime(),
    header.http_status,
    header.outcome,
    header.reason,
    header.sha256,
    header.size,
    header.redactor,
  ];
  const text = fields.map((field) => {
    if (field === null) return "-,";
    const written = String(field);
    return `${Buffer.byteLength(written)}:${written},`;
  });
  return createHash("sha256").update(text.join("")).digest("hex");
}

/** Returns where the chain of a journal's lines begins. */
export function journalBeginning(uuid: string): Buffer {
  return createHash("sha256").update(uuid).digest();
}

/** Returns the chain of a journal after `line`, the text as the node wrote it. */
export function linkLine(chain: Uint8Array, line: string): Buffer {
  return createHash("sha256").update(chain).update(line).digest();
}
