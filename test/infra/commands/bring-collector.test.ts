import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connectThrough } from "../../../collector/journal/ssh.ts";
import { carriedFrom, pinned, readSettings } from "../../../infra/commands/bring-collector.ts";
import { ed25519KeyPair } from "../../../infra/ed25519-key.ts";
import { keyPair, noSshd, startSshd } from "../../harness/sshd.ts";

let home = "";
const write = (name: string, text: string): void => writeFileSync(join(home, name), text, { mode: 0o600 });
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "home-"));
  for (const folder of ["keys", "networks"]) mkdirSync(join(home, folder));
  write("inventory.json", "{}\n");
  write("keys/collector", "the collector's key\n");
  write("keys/operator", "the operator's key\n");
});
afterEach(() => rmSync(home, { recursive: true }));

describe("the settings for the collector's machine", () => {
  it("are none where nothing is written", async () => {
    expect(await readSettings(home)).toEqual({ lines: [], port: 8080, embedded: true });
  });

  it("are what a collector takes, comments left out", async () => {
    write(
      "collector.env",
      "# ours\nPORT=8090\n\nDATABASE_URL=postgresql://lab@db.example/lab\nREAD_CRON=0 */5 * * * *\n",
    );
    expect(await readSettings(home)).toEqual({
      lines: ["PORT=8090", "DATABASE_URL=postgresql://lab@db.example/lab", "READ_CRON=0 */5 * * * *"],
      port: 8090,
      embedded: false,
    });
  });

  it("are refused with every mistake: lines that are none, variables that are the unit's own", async () => {
    write("collector.env", 'export PORT=1\nLOG_LEVEL="info"\nDATA_DIR=/data\nALERTS=/alerts\n');
    await expect(readSettings(home)).rejects.toMatchObject({
      code: "bad-input",
      problems: [
        { message: "A line is not NAME=value without quotes.", fix: "Write one variable in each line." },
        { message: "A line is not NAME=value without quotes.", fix: "Write one variable in each line." },
        { path: "DATA_DIR", message: "DATA_DIR is set, which is the unit's own.", fix: "Remove it." },
        { path: "ALERTS", message: "ALERTS is set, which is the unit's own.", fix: "Remove it." },
      ],
    });
  });

  it("are refused where a collector would refuse them", async () => {
    write("collector.env", "PORT=many\nLOG_LEVEL=loud\n");
    await expect(readSettings(home)).rejects.toMatchObject({
      message: expect.stringMatching(/has 2 mistakes:(?=[\s\S]*PORT is "many")(?=[\s\S]*LOG_LEVEL is "loud")/),
    });
  });
});

describe("what is carried to the collector's machine", () => {
  it("is the inventory, keys, settings, accounts and drained journals, and never the operator's key or the practice network's account", async () => {
    write("alerts.json", "{}");
    write("networks/mine.json", '{"sealed":1}');
    write("networks/practice.json", '{"network":"practice"}');
    mkdirSync(join(home, "spool", "home", "0"), { recursive: true });
    write("spool/home/0/a.jsonl", "lines\n");
    write("spool/home/0/a.jsonl.part", "half");
    const { files, spool } = await carriedFrom(home, { lines: ["PORT=8090"], port: 8090, embedded: true });
    expect([...files.keys()].toSorted()).toEqual([
      "alerts.json",
      "collector.env",
      "credentials.key",
      "inventory.json",
      "networks/mine.json",
      "ssh-key",
    ]);
    expect(files.get("collector.env")?.toString()).toBe("PORT=8090\nALERTS=/var/lib/gradientlab/alerts.json\n");
    expect(files.get("ssh-key")?.toString()).toBe("the collector's key\n");
    expect([...files.values()].map(String).join()).not.toContain("operator");
    expect([...spool]).toEqual([["spool/home/0/a.jsonl", join(home, "spool/home/0/a.jsonl")]]);
    // The key that was made stays the same.
    const again = await carriedFrom(home, { lines: [], port: 8080, embedded: true });
    expect(again.files.get("credentials.key")).toEqual(files.get("credentials.key"));
    expect(files.get("credentials.key")?.toString()).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
  });
});

describe.skipIf(noSshd !== null)("the host key of the collector's machine", () => {
  const file = (): string => join(home, "keys", "collector-known-hosts");

  it("is the provider's where it knows it, and kept for the command that forwards the page", async () => {
    const { publicKey } = ed25519KeyPair("host");
    const line = publicKey.split(" ").slice(0, 2).join(" ");
    const reach = { kind: "ssh" as const, host: "192.0.2.1", port: 22, user: "gl-agent", hostKeys: [line] };
    const told: string[] = [];
    expect(await pinned(home, "m-1", reach, (sentence) => told.push(sentence))).toEqual(reach);
    expect(readFileSync(file(), "utf8")).toBe(`gradientlab-collector ${line} m-1\n`);
    expect(told).toEqual([]);
  });

  it("is trusted at first contact and told, stays, and another one is refused with both fingerprints", async () => {
    const sshd = await startSshd();
    const reach = { kind: "ssh" as const, host: "127.0.0.1", port: sshd.port, user: sshd.user, hostKeys: [] };
    const told: string[] = [];
    const tell = (sentence: string): void => void told.push(sentence);
    try {
      const known = await pinned(home, "m-1", reach, tell);
      expect(known.hostKeys).toEqual([sshd.hostKey.split(" ").slice(0, 2).join(" ")]);
      expect(told).toEqual([
        expect.stringMatching(
          /^The collector's machine m-1 at 127\.0\.0\.1 shows the host key SHA256:\S+\. It is kept/,
        ),
      ]);
      expect(await pinned(home, "m-1", reach, tell)).toEqual(known);
      expect(told).toHaveLength(1);
      // Another machine, by its provider's id, is met anew.
      await pinned(home, "m-2", reach, tell);
      expect(told).toHaveLength(2);
    } finally {
      await sshd.stop();
    }
    const stranger = await startSshd();
    try {
      const kept = await pinned(home, "m-2", { ...reach, port: stranger.port }, tell);
      await expect(connectThrough(kept, keyPair().key, () => undefined)).rejects.toMatchObject({
        code: "host-key",
        message: expect.stringMatching(/shows the host key SHA256:\S+, and SHA256:\S+ is pinned/),
      });
      expect(told).toHaveLength(2);
    } finally {
      await stranger.stop();
    }
  });

  it("is asked for anew only when what is kept is taken away", async () => {
    writeFileSync(file(), "nonsense");
    const reach = { kind: "ssh" as const, host: "127.0.0.1", port: 1, user: "gl-agent", hostKeys: [] };
    await expect(pinned(home, "m-1", reach, () => undefined)).rejects.toMatchObject({ code: "known-host" });
    expect(existsSync(file())).toBe(true);
  });
});
