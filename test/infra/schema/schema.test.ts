import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { schemas } from "../../../infra/schema/write.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "infra", "schema");

it.each(Object.entries(schemas()))("keeps %s as the code has it (run: node infra/schema/write.ts)", (name, schema) => {
  expect(JSON.parse(readFileSync(join(folder, name), "utf8"))).toEqual(schema);
});
