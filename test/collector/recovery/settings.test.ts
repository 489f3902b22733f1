import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readRecoverySettings, repairs, usualRecovery } from "../../../collector/recovery/settings.ts";

let folder = "";
let file = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "recovery-"));
  file = join(folder, "recovery.json");
});
afterEach(() => rm(folder, { recursive: true }));

async function settingsOf(value: unknown) {
  await writeFile(file, typeof value === "string" ? value : JSON.stringify(value));
  return readRecoverySettings(file);
}

it("fills in what is not said, also within a part", async () => {
  const settings = await settingsOf({ schema: 1, limits: { perHour: 2 }, groups: { lab: { enabled: false } } });
  expect(settings).toEqual({
    ...usualRecovery,
    limits: { ...usualRecovery.limits, perHour: 2 },
    groups: { lab: { enabled: false } },
  });
  expect([repairs(settings, "home"), repairs(settings, "lab"), repairs(settings, "constructor")]).toEqual([
    true,
    false,
    true,
  ]);
});

it("reports every mistake at once, with what to write", async () => {
  const wrong = settingsOf({
    schema: 2,
    enabled: "no",
    groups: { Lab: { enabled: true }, lab: { on: true } },
    graceSeconds: { software: -1 },
    waitSeconds: { reboot: 1.5 },
    limits: { perDay: 3, atOnce: 100_000 },
    brake: { share: 30 },
  });
  const { problems } = await wrong.then(
    () => Promise.reject(new Error("it is refused")),
    (error: { problems: readonly { path: string; fix: string }[] }) => error,
  );
  expect(problems.map(({ path, fix }) => `${path}: ${fix}`).toSorted()).toEqual([
    "brake.share: Give at most 1.",
    "enabled: Write true or false.",
    "graceSeconds.software: Give seconds from 0.",
    "groups.Lab: Use a group's name.",
    "groups.lab.enabled: Write true or false.",
    "groups.lab.on: Remove it.",
    "limits.atOnce: Give at most 10000.",
    "limits.perDay: Remove it.",
    "schema: Write 1.",
    "waitSeconds.reboot: Give whole seconds.",
  ]);
});

it("says what to do where there is no file, or one that is no JSON", async () => {
  await expect(readRecoverySettings(file)).rejects.toMatchObject({ code: "recovery-missing" });
  await expect(settingsOf("{")).rejects.toMatchObject({ code: "recovery-form" });
});

it("every setting stands in the guide with what is usual", async () => {
  const guide = await readFile(new URL("../../../docs/recovery.md", import.meta.url), "utf8");
  for (const [name, value] of Object.entries(usualRecovery)) {
    if (name === "schema" || name === "groups") continue;
    const parts = typeof value === "object" ? Object.entries(value) : [["", value] as const];
    for (const [part, usual] of parts)
      expect(guide).toContain(`| \`${name}${part === "" ? "" : `.${part}`}\` | ${usual} |`);
  }
});
