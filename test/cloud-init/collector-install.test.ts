import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collectorInstaller } from "../../cloud-init/machine/collector-install.ts";
import { type Connection, connectThrough } from "../../collector/journal/ssh.ts";
import { carry, type Installer, installerOver, type Wanted } from "../../infra/collector-carry.ts";
import type { CollectorRelease } from "../../infra/collector-release.ts";
import { keyPair, noSshd, type Sshd, startSshd } from "../harness/sshd.ts";

/** A service manager as small as can be: it starts, ends and tells of one daemon, as systemd's own words ask. */
const serviceManager = (root: string): string => `#!/bin/sh
pid() { cat ${root}/pid 2> /dev/null || echo 0; }
runs() { [ "$(pid)" != 0 ] && kill -0 "$(pid)" 2> /dev/null; }
end() { if runs; then kill -KILL "$(pid)"; while runs; do sleep 0.05; done; fi; rm -f ${root}/pid; }
echo "$*" >> ${root}/asked
case "$1" in
  restart) end; set -a; . ${root}/etc/collector.env; setsid ${process.execPath} ${root}/opt/current/daemon.mjs > ${root}/daemon.log 2>&1 < /dev/null 9>&- & echo $! > ${root}/pid ;;
  stop) end ;;
  is-active) if runs; then echo active; else echo inactive; exit 3; fi ;;
  show) case "$2" in *ActiveState) if runs; then echo active; else echo failed; fi ;; *) echo 0 ;; esac ;;
esac
`;

/** A daemon that is ready at once, and says which release it is. */
const daemon = (name: string): string => `import { createServer } from "node:http";
createServer((request, response) => response.end(${JSON.stringify(name)})).listen(Number(process.env.PORT), "127.0.0.1");
`;

const sum = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("the installer of the collector's machine, behind a real SSH server", () => {
  const operator = keyPair();
  let root: string;
  let sshd: Sshd;
  let connection: Connection;
  let run: Installer;
  let port: number;

  const at = (...path: readonly string[]): string => join(root, ...path);
  const releaseOf = (id: string, program: string): CollectorRelease => {
    const folder = at("made", id);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "daemon.mjs"), program);
    const file = at("made", `${id}.tar.gz`);
    execFileSync("tar", ["--create", "--gzip", "--file", file, "--directory", folder, "."]);
    const bytes = readFileSync(file);
    return { id, file, sha256: sum(bytes), bytes: bytes.length };
  };
  const wantedWith = (release: CollectorRelease, files: Readonly<Record<string, string>> = {}): Wanted => ({
    release,
    files: new Map(
      Object.entries({ "collector.env": `PORT=${port}\n`, "ssh-key": "the key\n", ...files }).map(([name, text]) => [
        name,
        Buffer.from(text),
      ]),
    ),
    spool: new Map(),
  });
  const running = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const asked = (): string => (existsSync(at("asked")) ? readFileSync(at("asked"), "utf8") : "");

  beforeAll(async () => {
    if (noSshd !== null) return;
    root = await mkdtemp(join(tmpdir(), "install-"));
    for (const folder of ["bin", "etc", "units", "state", "releases", "opt", "made"]) mkdirSync(at(folder));
    writeFileSync(at("settled"), "");
    writeFileSync(at("bin", "systemctl"), serviceManager(root));
    writeFileSync(at("bin", "journalctl"), `#!/bin/sh\nexec tail -n 8 ${at("daemon.log")}\n`);
    const program = collectorInstaller({
      link: at("opt", "current"),
      releases: at("releases"),
      settings: at("etc"),
      state: at("state"),
      settled: at("settled"),
      passage: at("passage"),
      unit: "collector.service",
      units: at("units"),
      account: null,
      readySeconds: 60,
    });
    writeFileSync(at("bin", "install"), program);
    for (const name of readdirSync(at("bin"))) chmodSync(at("bin", name), 0o755);
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
    port = (free.address() as { port: number }).port;
    await new Promise((resolve) => free.close(resolve));
    sshd = await startSshd();
    const command = `PATH=${at("bin")}:$PATH ${at("bin", "install")} \\"$SSH_ORIGINAL_COMMAND\\"`;
    await sshd.authorize([`restrict,command="${command}" ${operator.public}`]);
    const reach = {
      kind: "ssh" as const,
      host: "127.0.0.1",
      port: sshd.port,
      user: sshd.user,
      hostKeys: [sshd.hostKey],
    };
    connection = await connectThrough(reach, operator.key, () => undefined);
    run = installerOver(connection);
  });
  beforeEach(({ skip }) => skip(noSshd !== null, noSshd ?? ""));
  afterAll(async () => {
    if (noSshd !== null) return;
    connection.end();
    execFileSync(at("bin", "systemctl"), ["stop"]);
    await sshd.stop();
    await rm(root, { recursive: true });
  });

  it("takes files and a release, and starts it", async () => {
    const carried = await carry(run, wantedWith(releaseOf("1.0.0-a", daemon("first"))), () => undefined);
    expect(carried).toEqual({ release: true, files: ["collector.env", "ssh-key"], unit: null });
    expect(await running()).toBe("first");
    expect(readlinkSync(at("opt", "current"))).toBe(at("releases", "1.0.0-a"));
    expect(readFileSync(at("etc", "ssh-key"), "utf8")).toBe("the key\n");
    expect(statSync(at("etc", "ssh-key")).mode & 0o777).toBe(0o600);
    expect(readdirSync(at("passage"))).toEqual(["lock"]);
  });

  it("is brought nothing, and starts nothing anew, where nothing differs", async () => {
    const before = asked();
    const carried = await carry(run, wantedWith(releaseOf("1.0.0-a", daemon("first"))), () => undefined);
    expect(carried).toEqual({ release: false, files: [], unit: null });
    expect(asked().slice(before.length)).toBe("is-active collector.service\n");
  });

  it("takes what is followed without a restart, and restarts for what is read at the start; what is gone here goes there", async () => {
    const release = releaseOf("1.0.0-a", daemon("first"));
    const restarts = (): number =>
      asked()
        .split("\n")
        .filter((line) => line.startsWith("restart")).length;
    const before = restarts();
    const followed = { "inventory.json": "{}\n", "networks/a.json": "{}\n" };
    expect((await carry(run, wantedWith(release, followed), () => undefined)).files).toEqual([
      "inventory.json",
      "networks/a.json",
    ]);
    expect(restarts()).toBe(before);
    expect(statSync(at("state", "networks", "a.json")).mode & 0o777).toBe(0o600);
    expect((await carry(run, wantedWith(release, { "ssh-key": "another\n" }), () => undefined)).files).toEqual([
      "inventory.json",
      "networks/a.json",
      "ssh-key",
    ]);
    expect(restarts()).toBe(before + 1);
    expect(existsSync(at("state", "networks", "a.json"))).toBe(false);
  });

  it("takes drained journals, which leave here once they are there", async () => {
    const file = at("made", "journal.jsonl");
    writeFileSync(file, "lines\n");
    const wanted = { ...wantedWith(releaseOf("1.0.0-a", daemon("first")), { "ssh-key": "another\n" }) };
    await carry(run, { ...wanted, spool: new Map([["spool/home/0/j.jsonl", file]]) }, () => undefined);
    expect(readFileSync(at("state", "spool", "home", "0", "j.jsonl"), "utf8")).toBe("lines\n");
    expect(existsSync(file)).toBe(false);
  });

  it("puts a newer release in the place of the older, which stays", async () => {
    const carried = await carry(run, wantedWith(releaseOf("1.0.1-b", daemon("second"))), () => undefined);
    expect(carried.release).toBe(true);
    expect(await running()).toBe("second");
    expect(readdirSync(at("releases")).toSorted()).toEqual(["1.0.0-a", "1.0.1-b"]);
  });

  it("gives the place back where a release does not become ready, and says why in the daemon's own words", async () => {
    const broken = releaseOf("1.0.2-c", 'console.log("the schema is unknown"); process.exit(1);\n');
    await expect(carry(run, wantedWith(broken), () => undefined)).rejects.toMatchObject({
      code: "collector-not-carried",
      message: expect.stringMatching(
        /The release 1\.0\.2-c did not become ready, and 1\.0\.1-b is in its place again: it ended\. It said: the schema is unknown/,
      ),
    });
    expect(await running()).toBe("second");
    expect(readlinkSync(at("opt", "current"))).toBe(at("releases", "1.0.1-b"));
  });

  it("goes back to a release that is still there, by its name", async () => {
    expect(await run(["use", "1.0.0-a"])).toMatchObject({ code: 0 });
    expect(await running()).toBe("first");
  });

  it("keeps nothing that did not arrive whole", async () => {
    const { code, err } = await run(["put", "ssh-key", "0".repeat(64)], Readable.from([Buffer.from("half")]));
    expect({ code, err }).toEqual({
      code: 1,
      err: `What arrived has the SHA-256 ${sum(Buffer.from("half"))}, and ${"0".repeat(64)} was announced. Carry it again.`,
    });
    expect(readFileSync(at("etc", "ssh-key"), "utf8")).toBe("the key\n");
    const cut = await run(["release", "1.0.3-d", "0".repeat(64)], Readable.from([Buffer.from("half")]));
    expect(cut).toMatchObject({ code: 1 });
    expect(readdirSync(at("releases"))).not.toContain("1.0.3-d");
    expect(readdirSync(at("releases"))).not.toContain(".part");
  });

  it.each([
    ["sh"],
    ["status", "$(touch", "/tmp/x)"],
    ["put", "../../etc/passwd", "0"],
    ["put", "networks/../../x.json", "0"],
    ["put", "authorized_keys", "0"],
    ["release", "../x", "0"],
    ["use", "-rf"],
    ["status;", "id"],
  ])("refuses words that are none of its: %s %s %s", async (...words) => {
    const { code, err } = await run(words.filter((word) => word !== undefined));
    expect({ code, err }).toEqual({ code: 64, err: expect.stringMatching(/^This takes: status \| put /) });
  });

  it("takes nothing while the machine is being set up", async () => {
    await rm(at("settled"));
    expect(await run(["status"])).toEqual({ code: 75, out: "", err: "This machine is still being set up." });
    writeFileSync(at("settled"), "");
  });
});
