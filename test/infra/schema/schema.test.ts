import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { referenceIn, schemas } from "../../../infra/schema/write.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "infra", "schema");

it.each(Object.entries(schemas()))("keeps %s as the code has it (run: node infra/schema/write.ts)", (name, schema) => {
  expect(JSON.parse(readFileSync(join(folder, name), "utf8"))).toEqual(schema);
});

it("keeps docs/config.md as the schema, the providers and the examples have it (run: node infra/schema/write.ts)", async () => {
  const checkout = join(folder, "..", "..");
  expect(readFileSync(join(checkout, "docs", "config.md"), "utf8")).toBe(await referenceIn(checkout));
});
