import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { main, usage } from "../../../infra/commands/trial.ts";
import { parseConfig } from "../../../infra/config.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { known } from "../known.ts";

const files = globSync("docs/examples/*.yaml", { cwd: checkout });
const names = files.map((file) => basename(file, ".yaml")).toSorted();

describe("a trial", () => {
  it("names the examples that there are, in its help and to who asks for another", async () => {
    for (const name of names) expect(usage).toContain(name);
    await expect(main(["pilott"])).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringContaining('There is no example "pilott". Did you mean pilot?'),
    });
    await expect(main([])).rejects.toThrow(names.join(", "));
  });

  it.each(files)("has an example in %s that is a config without a mistake", (file) => {
    const { config } = parse(readFileSync(join(checkout, file), "utf8")) as { config: Record<string, unknown> };
    const raw = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, JSON.stringify(value)]));
    expect(parseConfig(raw, known).groups.length).toBeGreaterThan(0);
  });
});
