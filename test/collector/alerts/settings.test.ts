import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readAlertSettings } from "../../../collector/alerts/settings.ts";

let folder = "";
let file = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "alerts-"));
  file = join(folder, "alerts.json");
});
afterEach(() => rm(folder, { recursive: true }));

async function settingsOf(value: unknown): Promise<unknown> {
  await writeFile(file, typeof value === "string" ? value : JSON.stringify(value), { mode: 0o600 });
  return readAlertSettings(file, { key: null });
}

it("fills in what is not said", async () => {
  const channel = { kind: "telegram", name: "phone", token: `1:${"a".repeat(30)}`, chat: "7" };
  expect(await settingsOf({ schema: 1, channels: [channel], heartbeat: { url: "https://example.org/ping" } })).toEqual({
    schema: 1,
    channels: [{ ...channel, least: "warning", escalation: false, url: "https://api.telegram.org" }],
    rules: {},
    groupWaitSeconds: 30,
    groupIntervalSeconds: 300,
    escalateAfterMinutes: 30,
    heartbeat: { url: "https://example.org/ping", everySeconds: 60 },
  });
});

it("reports every mistake at once, and the value of none", async () => {
  const secret = "planted-secret-4711";
  const wrong = settingsOf({
    schema: 2,
    paswort: secret,
    channels: [
      { kind: "pager", name: "a" },
      { kind: "webhook", name: "B!", url: `ftp://${secret}`, secret },
      {
        kind: "smtp",
        name: "mail",
        host: "mail.example.org",
        from: secret,
        to: [],
        quiet: { from: "25:00", to: "07:00", zone: "Mars" },
      },
    ],
    rules: { "node-silent": { severity: "fatal" }, "node-lost": {} },
    groupWaitSeconds: -1,
    escalateAfterMinutes: 0,
    heartbeat: { url: "here" },
  });
  const error = await wrong.then(
    () => undefined,
    (problem: unknown) => problem,
  );
  expect(String(error)).not.toContain(secret);
  const problems = (error as { problems: { path: string; fix: string }[] }).problems;
  expect(problems.map(({ path }) => path).sort()).toEqual(
    [
      "schema",
      "paswort",
      "channels.0.kind",
      "channels.1.name",
      "channels.1.url",
      "channels.1.secret",
      "channels.2.from",
      "channels.2.to",
      "channels.2.quiet.from",
      "channels.2.quiet.zone",
      "rules.node-silent.severity",
      "rules.node-lost",
      "groupWaitSeconds",
      "escalateAfterMinutes",
      "heartbeat.url",
    ].sort(),
  );
  for (const { fix } of problems) expect(fix).toMatch(/^[A-Z].*\.$/);
});

it("refuses two channels of one name, text that is no JSON, an open file and a missing one", async () => {
  const slack = { kind: "slack", name: "team", url: "https://example.org/a" };
  await expect(settingsOf({ schema: 1, channels: [slack, slack] })).rejects.toThrow(
    'channels.1.name is "team", which another channel has. Give each channel a name of its own.',
  );
  await expect(settingsOf("{")).rejects.toThrow("are not JSON");
  await chmod(file, 0o644);
  await expect(readAlertSettings(file, { key: null })).rejects.toMatchObject({
    code: "alerts-open",
    fix: `Run chmod 600 ${file}.`,
  });
  await rm(file);
  await expect(readAlertSettings(file, { key: null })).rejects.toMatchObject({ code: "alerts-missing" });
});
