import { createHash } from "node:crypto";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BadInput, ExplainedError } from "../../../infra/problem.ts";
import { writeDurably } from "../durable.ts";

/**
 * What a backup is: a folder of pieces, each the rows of a stretch of one table as COPY writes them, compressed, and
 * `manifest.json`, which is written last. A folder without it is no backup, only the beginning of one.
 */

const name = z.string().regex(/^[a-z_][a-z0-9_]*$/);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
/** A row's key, each value as PostgreSQL writes it. */
const keyValues = z.array(z.string()).nullable();

const pieceSchema = z.strictObject({
  file: z.string().regex(/^[a-z0-9_]+\.\d{5,}\.copy\.zst$/),
  table: name,
  /** The rows behind `after` up to `through`, itself included, in the order of the table's key; null: without an end. */
  after: keyValues,
  through: keyValues,
  rows: count,
  /** Of the compressed file. */
  bytes: count,
  sha256,
  /** What `digestOf` gives for these rows, in whichever database they are. */
  digest: sha256,
});

const migrationSchema = z.strictObject({ number: z.int().min(1), name: z.string(), sha256 });

const manifestSchema = z.strictObject({
  id: z.uuid(),
  takenAt: z.iso.datetime(),
  release: z.string(),
  serverVersion: z.string(),
  /** What the database took on its server's disk. */
  databaseBytes: count,
  migrations: z.array(migrationSchema).min(1),
  tables: z.array(
    z.strictObject({
      name,
      columns: z.array(name).min(1),
      rows: count,
      /** Of its pieces, compressed. */
      bytes: count,
      /** Of a partitioned table, each with its bounds as PostgreSQL writes them. */
      partitions: z.array(
        z.strictObject({
          name,
          bounds: z.string().regex(/^FOR VALUES FROM \((?:'[0-9: +-]+'|MINVALUE)\) TO \((?:'[0-9: +-]+'|MAXVALUE)\)$/),
        }),
      ),
    }),
  ),
  sequences: z.array(z.strictObject({ name, last: z.string().regex(/^-?\d+$/), called: z.boolean() })),
  pieces: z.array(pieceSchema),
  /** Files of months that the database does not hold any more; not there in a backup of an earlier release. */
  archives: z
    .array(
      z.strictObject({
        file: z.string().regex(/^[a-z]+-[0-9A-Z-]+\.[0-9a-f]{8}\.parquet$/),
        sha256,
        bytes: count,
        /** Whether the backup has it, or only knows of it. */
        copied: z.boolean(),
      }),
    )
    .optional(),
});

export type Piece = Readonly<z.infer<typeof pieceSchema>>;
export type Manifest = Readonly<z.infer<typeof manifestSchema>>;
export type AppliedMigration = Readonly<z.infer<typeof migrationSchema>>;

const manifestFile = "manifest.json";
const progressFile = "unfinished.jsonl";
// 2: with archives.
const newestFormat = 2;
const fileSchema = z.strictObject({
  schema: z.union([z.literal(1), z.literal(newestFormat)]),
  sha256,
  backup: z.unknown(),
});
const beginningSchema = z.strictObject({ schema: z.literal(1), migrations: z.array(migrationSchema) });

/** What lies in a folder: nothing, a backup, the beginning of one with the pieces it has, or something else. */
export type Found =
  | { readonly kind: "nothing" }
  | { readonly kind: "whole"; readonly takenAt: string }
  | { readonly kind: "unfinished"; readonly migrations: readonly AppliedMigration[]; readonly pieces: readonly Piece[] }
  | { readonly kind: "other" };

/** Returns what lies in `folder`, which may not exist. @throws BadInput where a manifest is there and is damaged. */
export async function findBackup(folder: string): Promise<Found> {
  const names = await namesIn(folder);
  if (names === null || names.length === 0) return { kind: "nothing" };
  if (names.includes(manifestFile)) return { kind: "whole", takenAt: (await readManifest(folder)).takenAt };
  if (!names.includes(progressFile)) return { kind: "other" };
  const [first, ...rest] = (await readFile(join(folder, progressFile), "utf8")).split("\n");
  const beginning = beginningSchema.safeParse(parsed(first ?? ""));
  if (!beginning.success) return { kind: "unfinished", migrations: [], pieces: [] };
  // The last line may have been cut, and what was written again counts.
  const pieces = new Map<string, Piece>();
  for (const line of rest) {
    const piece = pieceSchema.safeParse(parsed(line));
    if (piece.success) pieces.set(piece.data.file, piece.data);
  }
  return { kind: "unfinished", migrations: beginning.data.migrations, pieces: [...pieces.values()] };
}

/** Notes in `folder` that a backup of this schema is begun. */
export async function noteBeginning(folder: string, migrations: readonly AppliedMigration[]): Promise<void> {
  await writeDurably(join(folder, progressFile), `${JSON.stringify({ schema: 1, migrations })}\n`);
}

/** Notes that a piece is in its place. */
export async function notePiece(folder: string, piece: Piece): Promise<void> {
  const file = await open(join(folder, progressFile), "a");
  try {
    // A line of its own even behind one that was cut.
    await file.writeFile(`\n${JSON.stringify(piece)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the folder a backup: from here on it is whole. Returns the names of what earlier attempts left in it. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<string[]> {
  const text = JSON.stringify({ schema: newestFormat, sha256: sumOf(manifest), backup: manifest });
  await writeDurably(join(folder, manifestFile), `${text}\n`);
  const own = new Set(manifest.pieces.map(({ file }) => file));
  const written = (file: string): boolean => file === progressFile || /\.\d{5,}\.copy\.zst(?:\.part)?$/.test(file);
  return (await readdir(folder)).filter((file) => written(file) && !own.has(file));
}

/**
 * Returns the manifest of the backup in `folder`.
 * @throws BadInput when there is none, it is the beginning of a backup only, damaged, or of a newer release.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const names = await namesIn(folder);
  if (names === null) throw notThere(folder, "is no folder that can be read", "Give the folder of a backup.");
  if (!names.includes(manifestFile)) {
    if (names.includes(progressFile)) {
      const fix = "Run npm run backup -- --to with this folder again: it goes on, and is whole once it says so.";
      throw notThere(folder, "holds a backup that was interrupted", fix);
    }
    throw notThere(
      folder,
      "is not a backup: it has no manifest.json",
      "Give the folder that npm run backup -- --to named.",
    );
  }
  const damaged = notThere(folder, "holds a manifest.json that is damaged", "Use another copy of this backup.");
  const found = parsed(await readFile(join(folder, manifestFile), "utf8"));
  const schema = (found as { schema?: unknown } | null | undefined)?.schema;
  if (typeof schema === "number" && schema > newestFormat) {
    throw new ExplainedError(
      "backup-newer",
      `The backup in ${folder} is of format ${schema}, and this release reads formats up to ${newestFormat}.`,
      "Restore it with the release that took it, or a newer one.",
    );
  }
  const file = fileSchema.safeParse(found);
  const manifest = manifestSchema.safeParse(file.data?.backup);
  if (!file.success || !manifest.success || sumOf(manifest.data) !== file.data.sha256) throw damaged;
  return manifest.data;
}

function notThere(folder: string, what: string, fix: string): BadInput {
  return new BadInput("The command", [{ path: "--from", value: folder, message: `${folder} ${what}.`, fix }]);
}

/** Returns the SHA-256 of the manifest's content, whatever its spaces. */
function sumOf(manifest: Manifest): string {
  return createHash("sha256").update(JSON.stringify(manifest)).digest("hex");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[] | null> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return null;
    throw error;
  }
}
