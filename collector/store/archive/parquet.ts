import { open } from "node:fs/promises";
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  type AsyncBuffer,
  type Encoding,
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  type SchemaElement,
} from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";

/** A column of a Parquet file: its name, its type, and whether every row has a value. */
export interface ColumnSpec {
  readonly name: string;
  readonly type: "text" | "int64" | "double" | "boolean" | "instant";
  readonly required: boolean;
  /** The unit of its values, as it stands in manifests. */
  readonly unit?: string;
}

/** A value of a column; integers are numbers that are safe, instants milliseconds. */
export type Cell = string | number | boolean | null;

/** The values of some rows, column by column. */
export type Columns = Readonly<Record<string, readonly Cell[]>>;

/** A Parquet file that is being written. */
export interface ParquetFile {
  /** Writes rows as a row group of their own. */
  write(columns: Columns): Promise<void>;
  /** Writes the footer; the file is on the disk then. */
  finish(): Promise<void>;
  /** Closes the file, finished or not. */
  close(): Promise<void>;
}

// Above it a file takes much longer and gets hardly smaller.
const level = 9;

const elements = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  int64: { type: "INT64" },
  double: { type: "DOUBLE" },
  boolean: { type: "BOOLEAN" },
  instant: {
    type: "INT64",
    converted_type: "TIMESTAMP_MILLIS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
  },
} as const satisfies Record<ColumnSpec["type"], Partial<SchemaElement>>;

// Counters and clocks are smallest as differences. Others are dictionaries where that halves them.
const encodings: Readonly<Partial<Record<ColumnSpec["type"], Encoding>>> = {
  int64: "DELTA_BINARY_PACKED",
  instant: "DELTA_BINARY_PACKED",
};

/**
 * Begins a Parquet file at `path`, which must not be there, compressed with zstd. `facts` stand in its key-value metadata.
 * A row group is in memory until it is written.
 */
export async function createParquet(
  path: string,
  specs: readonly ColumnSpec[],
  facts: Readonly<Record<string, string>>,
): Promise<ParquetFile> {
  const handle = await open(path, "wx", 0o600);
  const writer = new ByteWriter();
  const flush = async (): Promise<void> => {
    await handle.writeFile(writer.getBytes());
    writer.index = 0;
  };
  const parquet = new ParquetWriter({
    writer: Object.assign(writer, { flush, finish: flush }),
    schema: [
      { name: "schema", num_children: specs.length },
      ...specs.map(({ name, type, required }): SchemaElement => {
        const repetition = required ? "REQUIRED" : "OPTIONAL";
        return { ...elements[type], name, repetition_type: repetition };
      }),
    ],
    codec: "ZSTD",
    compressors: { ZSTD: compress },
    kvMetadata: Object.entries(facts).map(([key, value]) => ({ key, value })),
    createdBy: "gradientlab",
  });
  return {
    async write(columns) {
      const columnData = specs.map(({ name, type }) => {
        const cells = columns[name];
        if (cells === undefined) throw new Error(`the column ${name} has no values`);
        const encoding = encodings[type] ?? (cells.some(isMinusZero) ? "PLAIN" : undefined);
        return { name, data: cells.map((cell) => inParquet(cell, type)), ...(encoding ? { encoding } : {}) };
      });
      await parquet.write({ columnData, rowGroupSize: Number.MAX_SAFE_INTEGER });
    },
    async finish() {
      await parquet.finish();
      await handle.sync();
    },
    close: () => handle.close(),
  };
}

/** A dictionary takes 0 and -0 for one value. */
function isMinusZero(cell: Cell): boolean {
  return Object.is(cell, -0);
}

function inParquet(cell: Cell, type: ColumnSpec["type"]): Cell | bigint {
  return typeof cell === "number" && type !== "double" ? BigInt(cell) : cell;
}

function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 1 },
  });
}

/** Where the row groups of a Parquet file lie, and how to read one. */
export interface ParquetReader {
  /** The first row of each row group. */
  readonly starts: readonly number[];
  readonly rows: number;
  /** Returns the named columns of the row group at a place in `starts`. */
  rowGroup(index: number, columns: readonly string[]): Promise<Columns>;
}

/** Reads the footer of the Parquet file at `path`. No file stays open. @throws Error when it is none. */
export async function openParquet(path: string): Promise<ParquetReader> {
  const metadata: FileMetaData = await reading(path, (file) => parquetMetadataAsync(file));
  const starts: number[] = [];
  let rows = 0;
  for (const group of metadata.row_groups) {
    starts.push(rows);
    rows += Number(group.num_rows);
  }
  return {
    starts,
    rows,
    rowGroup: (index, columns) =>
      reading(path, async (file) => {
        const [rowStart, rowEnd] = [starts[index] ?? rows, starts[index + 1] ?? rows];
        const scan = await parquetScan({
          file,
          metadata,
          columns: [...columns],
          rowStart,
          rowEnd,
          compressors,
          parsers,
        });
        const read: Record<string, readonly Cell[]> = {};
        for (const column of columns) {
          const cells = await scan.readColumn({ column, rowStart, rowEnd });
          read[column] = Array.from(cells as ArrayLike<unknown>, outOfParquet);
        }
        return read;
      }),
  };
}

async function reading<Result>(path: string, work: (file: AsyncBuffer) => Promise<Result>): Promise<Result> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    return await work({
      byteLength: size,
      async slice(start, end = size) {
        const bytes = new ArrayBuffer(end - start);
        const view = new Uint8Array(bytes);
        for (let read = 0; read < view.length; ) {
          const { bytesRead } = await handle.read(view, read, view.length - read, start + read);
          if (bytesRead === 0) throw new Error("the file ends too early");
          read += bytesRead;
        }
        return bytes;
      },
    });
  } finally {
    await handle.close();
  }
}

const compressors = { ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes) };

const parsers = {
  timestampFromMilliseconds: (ms: bigint) => Number(ms),
  // Not by a TextDecoder, which would drop a byte order mark.
  stringFromBytes: (bytes: Uint8Array | undefined) =>
    bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
};

function outOfParquet(value: unknown): Cell {
  if (typeof value === "bigint") return Number(value);
  return (value ?? null) as Cell;
}
