import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { openApiDocument } from "../../../collector/api/openapi.ts";

it("is the OpenAPI document that is checked in: node collector/api/openapi.ts > docs/openapi.json writes it", async () => {
  const file = new URL("../../../docs/openapi.json", import.meta.url);
  expect(await openApiDocument()).toEqual(JSON.parse(await readFile(file, "utf8")));
});
