import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readAlertSettings } from "../../collector/alerts/settings.ts";
import { isSealed, newKeyText, opened, readKey, textOf } from "../../collector/credentials.ts";
import { othersMayRead } from "../../collector/file-mode.ts";
import { readAccount } from "../../collector/networks/accounts.ts";
import { recall, remember } from "../../collector/networks/gradient/memory.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "credentials-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function written(name: string, text: string, mode = 0o600): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
}
const newKey = async (name = "key") => readKey(await written(name, newKeyText()));
const account = {
  schema: 1,
  network: "ripe-atlas",
  account: "me",
  label: "RIPE Atlas",
  apiKey: "5eed5eed-0000-4000-8000-00000000beef",
};

describe("encrypted credentials", () => {
  it("give back what was written, whatever it was, and show nothing of it", async () => {
    const key = await newKey();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = textOf(value, "account", key);
        expect(opened(JSON.parse(text), "f", "account", { key })).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 50 },
    );
    const [one, other] = [textOf(account, "account", key), textOf(account, "account", key)];
    expect(one).not.toBe(other);
    expect(one).not.toContain("5eed5eed-0000-4000-8000-00000000beef");
    expect(Buffer.from((JSON.parse(one) as { data: string }).data, "base64").toString("latin1")).not.toContain(
      "planted",
    );
  });

  it("are refused where one bit was changed, and where they stand for something else", async () => {
    const key = await newKey();
    const sealed = JSON.parse(textOf(account, "account", key)) as Record<string, string>;
    const open = (value: unknown, purpose: "account" | "alerts" = "account"): unknown =>
      opened(value, "f.json", purpose, { key });
    for (const field of ["nonce", "data"]) {
      const bytes = Buffer.from(sealed[field] ?? "", "base64");
      for (let at = 0; at < bytes.length; at += 7) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 1;
        expect(() => open({ ...sealed, [field]: changed.toString("base64") })).toThrow(
          /f\.json is encrypted, and it was changed/,
        );
      }
    }
    expect(() => open(sealed, "alerts")).toThrow(/it was changed since or is not for alerts/);
    expect(() => open({ ...sealed, data: "" })).toThrow(/it was changed/);
    expect(() => open({ ...sealed, sealed: 2 })).toThrow(/its form is not one that this release writes/);
  });

  it("name the key they were written with where another is there, or none", async () => {
    const [key, other] = [await newKey("one"), await newKey("other")];
    const sealed: unknown = JSON.parse(textOf(account, "account", key));
    expect(() => opened(sealed, "f.json", "account", { key: other })).toThrow(
      `it was written with the key ${key.id}, not with ${other.id}`,
    );
    expect(() => opened(sealed, "f.json", "account", { key: null })).toThrow(
      "f.json is encrypted, and no key is known.",
    );
  });

  it("are read wherever plain ones are, and plain ones beside a key are told of", async () => {
    const key = await newKey();
    const seen: string[] = [];
    const opener = { key, plain: (file: string) => seen.push(file) };
    const sealed = await written("sealed.json", textOf(account, "account", key));
    const plain = await written("plain.json", JSON.stringify(account));
    expect((await readAccount(sealed, opener)).account).toEqual((await readAccount(plain, opener)).account);
    expect(seen).toEqual([plain]);
    const alerts = { schema: 1, heartbeat: { url: "https://example.org/planted" } };
    const file = await written("alerts.json", textOf(alerts, "alerts", key));
    expect((await readAlertSettings(file, opener)).heartbeat?.url).toBe("https://example.org/planted");
    await expect(
      readAccount(await written("open.json", await readFile(sealed, "utf8"), 0o644), opener),
    ).rejects.toMatchObject({
      code: "account-open",
    });
  });

  it("hold a browser's session, which is encrypted when it is next written", async () => {
    const file = join(folder, "session.json");
    const session = { cookies: [{ value: "planted-cookie" }], origins: [] };
    const memory = { schema: 1 as const, readAt: null, leaveAloneUntil: null, stopped: null, session };
    await remember(file, memory, { key: null });
    expect(await readFile(file, "utf8")).toContain("planted-cookie");
    const opener = { key: await newKey() };
    const before = await recall(file, opener);
    await remember(file, before, opener);
    const text = await readFile(file, "utf8");
    expect(isSealed(JSON.parse(text))).toBe(true);
    expect(text).not.toContain("planted-cookie");
    expect(await recall(file, opener)).toEqual(memory);
    await expect(recall(file, { key: null })).rejects.toMatchObject({ code: "credentials-sealed" });
  });
});

describe("the key", () => {
  it.each([
    ["that is not there", null, 0o600, "cannot be read"],
    ["that others may read", newKeyText(), 0o640, "may be read by others"],
    ["that is too short", "aGVsbG8=\n", 0o600, "is not 32 bytes in base64"],
    ["that is no base64", "x".repeat(44), 0o600, "is not 32 bytes in base64"],
  ])("is refused by name where it is one %s", async (_what, text, mode, why) => {
    const file = text === null ? join(folder, "nowhere") : await written("key", text, mode);
    expect(() => readKey(file)).toThrow(why);
    expect(() => readKey(file)).toThrow(file);
  });

  it("may be handed over by systemd, whose access list shows as the group's bits", () => {
    expect(othersMayRead("/run/credentials/x.service/key", 0o100440, "/run/credentials/x.service")).toBe(false);
    expect(othersMayRead("/run/credentials/x.service/key", 0o100444, "/run/credentials/x.service")).toBe(true);
    expect(othersMayRead("/etc/key", 0o100440, "/run/credentials/x.service")).toBe(true);
    expect(othersMayRead("/etc/key", 0o100600, undefined)).toBe(false);
  });
});
