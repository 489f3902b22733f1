import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ExplainedError } from "../../../infra/problem.ts";
import { sumOfFile } from "../file-sum.ts";
import type { KnownLine } from "../packing.ts";
import { bodyColumns, bodyIn } from "./bodies.ts";
import { lineColumns, lineIn } from "./lines.ts";
import { type Columns, openParquet, type ParquetReader } from "./parquet.ts";

/** A file of an archive, as the database has it. */
export interface ArchiveFile {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The archives of a database: a folder of Parquet files beside it. */
export interface Archives {
  readonly folder: string;
  /** Returns the path of an archive's file. */
  path(file: string): string;
  /** Throws `ArchiveUnreadable` where a file is not there or is not what was kept. */
  check(archive: ArchiveFile): Promise<void>;
  /** Returns `count` lines from a row on. @throws ArchiveUnreadable */
  lines(archive: ArchiveFile, row: number, count: number): Promise<KnownLine[]>;
  /** Returns the body in a row. @throws ArchiveUnreadable */
  body(archive: ArchiveFile, row: number): Promise<string>;
}

/** Returns the folder of the archives: the one that ARCHIVES names, or the one in a collector's data folder. */
export function archivesFolder(dataDirectory: string, given: string | undefined): string {
  return given === undefined || given === "" ? join(dataDirectory, "archives") : resolve(given);
}

/** What lies in an archive cannot be read: its file is missing, or it is not what was kept. */
export class ArchiveUnreadable extends ExplainedError {
  readonly file: string;

  constructor(kind: "missing" | "changed", file: string) {
    super(
      `archive-${kind}`,
      kind === "missing"
        ? `The archive ${file}, which holds what was asked for, is not in the folder of the archives.`
        : `The archive ${file}, which holds what was asked for, is not what was kept: its file was changed or is damaged.`,
      `Bring ${file} back from a backup into the collector's folder of archives (ARCHIVES, by default archives in its data folder).`,
    );
    this.file = file;
  }
}

// A footer takes a few megabytes, the columns of a row group too. A page of lines lies in one or two groups.
const mostFooters = 3;
const mostGroups = 2;

/** Returns the archives in `folder`, which may not be there yet. Files are read as they are asked for. */
export function openArchives(folder: string): Archives {
  const footers = recent<{ readonly identity: string; readonly reader: ParquetReader }>(mostFooters);
  const groups = recent<Columns>(mostGroups);
  const path = (file: string): string => join(folder, file);

  /** Returns how to read a file that was compared with its digest, as long as it is the same file. */
  const readerOf = async (
    archive: ArchiveFile,
  ): Promise<{ readonly identity: string; readonly reader: ParquetReader }> => {
    const identity = await identityOf(path(archive.file), archive);
    return footers(`${archive.file} ${identity}`, async () => {
      const sum = await sumOfFile(path(archive.file));
      if (sum?.sha256 !== archive.sha256)
        throw new ArchiveUnreadable(sum === null ? "missing" : "changed", archive.file);
      return { identity, reader: await openParquet(path(archive.file)) };
    });
  };

  const rowsOf = async <Row>(
    archive: ArchiveFile,
    columns: readonly string[],
    row: number,
    count: number,
    rowIn: (columns: Columns, place: number) => Row,
  ): Promise<Row[]> => {
    const { identity, reader } = await readerOf(archive);
    const { starts } = reader;
    const rows: Row[] = [];
    let group = starts.findLastIndex((start) => start <= row);
    while (rows.length < count) {
      const [start, end] = [starts[group] ?? reader.rows, starts[group + 1] ?? reader.rows];
      if (start === end) throw new ArchiveUnreadable("changed", archive.file);
      const read = await groups(`${archive.file} ${identity} ${group}`, () => reader.rowGroup(group, columns));
      for (let place = row + rows.length - start; place < end - start && rows.length < count; place++) {
        rows.push(rowIn(read, place));
      }
      group++;
    }
    return rows;
  };

  return {
    folder,
    path,
    async check(archive) {
      await readerOf(archive);
    },
    lines: (archive, row, count) =>
      rowsOf(
        archive,
        lineColumns.map(({ name }) => name),
        row,
        count,
        lineIn,
      ),
    async body(archive, row) {
      const [body = ""] = await rowsOf(
        archive,
        bodyColumns.map(({ name }) => name),
        row,
        1,
        bodyIn,
      );
      return body;
    },
  };
}

/** Returns what tells one state of a file from another. @throws ArchiveUnreadable where it is not there or of another size. */
async function identityOf(path: string, { file, bytes }: ArchiveFile): Promise<string> {
  try {
    const found = await stat(path);
    if (found.size !== bytes) throw new ArchiveUnreadable("changed", file);
    return `${found.ino} ${found.mtimeMs} ${found.size}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") throw new ArchiveUnreadable("missing", file);
    throw error;
  }
}

/** Returns what remembers the last `most` values by their keys; one that failed is made anew. */
function recent<Value>(most: number): (key: string, make: () => Promise<Value>) => Promise<Value> {
  const known = new Map<string, Promise<Value>>();
  return (key, make) => {
    const value = known.get(key) ?? make();
    known.delete(key);
    known.set(key, value);
    value.catch(() => known.delete(key));
    for (const oldest of known.keys()) {
      if (known.size <= most) break;
      known.delete(oldest);
    }
    return value;
  };
}
