import type { ColumnSpec, Columns } from "./parquet.ts";

/** The columns of an archive of answers: what their headers say, and their bodies. */
export const bodyColumns: readonly ColumnSpec[] = [
  { name: "reading", type: "int64", required: true },
  { name: "network", type: "text", required: true },
  { name: "account", type: "text", required: true },
  { name: "source", type: "text", required: true },
  { name: "started_at", type: "instant", required: true },
  { name: "finished_at", type: "instant", required: true },
  { name: "http_status", type: "int64", required: false },
  { name: "outcome", type: "text", required: true },
  { name: "sha256", type: "text", required: true },
  { name: "body", type: "text", required: true },
];

/** Returns the body at a place of a row group. */
export function bodyIn(columns: Columns, place: number): string {
  return columns.body?.[place] as string;
}
