import { describe, expect, it } from "vitest";
import { jsonLog, type LogSetting, readByJournal } from "../../collector/log.ts";
import { openSecrets, passwordsIn } from "../../collector/secrets.ts";

const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));

function written(setting: LogSetting, write: (log: ReturnType<typeof jsonLog>) => void): string[] {
  const lines: string[] = [];
  write(
    jsonLog(
      (line) => lines.push(line),
      () => at,
      setting,
    ),
  );
  return lines;
}

describe("the log", () => {
  it("is one JSON object a line, with its instant, its level and what belongs to it", () => {
    const [line = "", ...more] = written({}, (log) => log("warn", "two\nlines", { job: "read", tries: 3 }));
    expect(more).toEqual([]);
    expect(line.indexOf("\n")).toBe(line.length - 1);
    const told = { at: "2026-01-02T03:04:05.000Z", level: "warn", msg: "two\nlines", job: "read", tries: 3 };
    expect(JSON.parse(line)).toEqual(told);
  });

  it("leaves out what is graded less than asked for", () => {
    const lines = written({ least: "warn" }, (log) => {
      log("info", "one");
      log("warn", "two");
      log("error", "three");
    });
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["two", "three"]);
  });

  it("puts the syslog priority before a line where the systemd journal reads it, and only there", () => {
    const lines = written({ priorities: true }, (log) => {
      log("info", "one");
      log("warn", "two");
      log("error", "three");
    });
    expect(lines.map((line) => line.slice(0, 4))).toEqual(["<6>{", "<4>{", "<3>{"]);
    expect(readByJournal("8:1234", { dev: 8, ino: 1234 })).toBe(true);
    expect(readByJournal("8:1234", { dev: 8, ino: 1235 })).toBe(false);
    expect(readByJournal(undefined, { dev: 8, ino: 1234 })).toBe(false);
  });
});

describe("a secret that is planted", () => {
  const password = 'planted "pass/word" ä';
  const secrets = openSecrets();
  secrets.know(() => [password, "abc"]);
  const logged = (msg: string, details: Record<string, unknown> = {}): string =>
    written({ redact: secrets.without }, (log) => log("error", msg, details)).join("");

  it.each([
    ["in a sentence", `refused ${password}`, {}],
    ["in a sentence, as JSON writes it", `sent ${JSON.stringify({ word: password })}`, {}],
    ["in an address", `GET /?p=${encodeURIComponent(password)}`, {}],
    ["deep in details", "m", { list: [{ inner: `x${password}x` }] }],
    ["in the name of a detail", "m", { [password]: 1 }],
    ["in what says itself how it is written", "m", { it: { toJSON: () => ({ inner: password }) } }],
    ["in a stack", "m", { stack: `Error: ${password}\n    at x` }],
  ])("stands in no line: %s", (_where, msg, details) => {
    const line = logged(msg, details);
    for (const spelling of [password, JSON.stringify(password).slice(1, -1), encodeURIComponent(password)])
      expect(line).not.toContain(spelling);
    expect(line).toContain("[redacted]");
  });

  it.each([
    ["the password in an address", "postgresql://lab:hid-den-7@db:5432/x", "hid-den-7"],
    ["a bearer token", "Authorization: Bearer hid.den-7xyz", "hid.den-7xyz"],
    ["a JSON Web Token", "got eyJhidden7890.abc.def", "eyJhidden7890"],
    ["a webhook's secret", "key whsec_hidden7890+/=", "hidden7890"],
    [
      "a private key",
      "-----BEGIN OPENSSH PRIVATE KEY-----\nhidden7890\n-----END OPENSSH PRIVATE KEY-----",
      "hidden7890",
    ],
    ["a private key that was cut", "-----BEGIN PRIVATE KEY-----\nhidden7890", "hidden7890"],
  ])("is known by its form: %s", (_what, msg, secret) => {
    expect(logged(msg)).not.toContain(secret);
    expect(logged("m", { nested: { it: [msg] } })).not.toContain(secret);
  });

  it("is known by its name", () => {
    expect(JSON.parse(logged("m", { apiKey: "hidden7890", password: "x", tokens: 5, job: "read" }))).toMatchObject({
      apiKey: "[redacted]",
      password: "[redacted]",
      tokens: 5,
      job: "read",
    });
  });

  it("leaves the rest as it is, and is no secret any more when its holder is gone", () => {
    expect(JSON.parse(logged("abc of reading https://host:80/x", { n: 1, on: true, none: null }))).toMatchObject({
      msg: "abc of reading https://host:80/x",
      n: 1,
      on: true,
      none: null,
    });
    const forget = secrets.know(() => ["passing-token"]);
    expect(logged("passing-token")).not.toContain("passing-token");
    forget();
    expect(logged("passing-token")).toContain("passing-token");
  });

  it("is the password of the database's address, in both spellings", () => {
    expect(passwordsIn("postgresql://u:a%20b@h/x")).toEqual(["a%20b", "a b"]);
    expect(passwordsIn("postgresql://u@h/x")).toEqual([]);
  });
});
