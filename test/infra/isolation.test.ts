import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accountFor, attempt, findIsolation, type Isolation, isolatedCommand } from "../../infra/isolation.ts";
import { execute } from "./providers/local/process/fixture.ts";

const root = process.getuid?.() === 0;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradientlab,odd:name-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const answering =
  (code: (argv: readonly string[]) => number, stderr = "unshare: unshare failed: Operation not permitted\n") =>
  async (argv: readonly string[]) => ({ code: code(argv), stderr });

describe("what the machine gives", () => {
  it("is found by really trying, and nothing of the trial stays", async () => {
    const isolation = await findIsolation();
    const { code } = await attempt(["unshare", ...(root ? [] : ["--user", "--map-current-user"]), "--mount", "true"]);
    expect(isolation.mount).toBe(code === 0);
    expect(existsSync("/etc/gradientlab")).toBe(false);
  });

  it("goes down step by step, and says each step down in one sentence with its remedy", async () => {
    const all = await findIsolation(
      1000,
      answering(() => 0),
    );
    expect(all).toEqual({ mount: true, pid: true, user: true, note: null });
    const shared = await findIsolation(
      0,
      answering((argv) => (argv.includes("--pid") ? 1 : 0)),
    );
    expect(shared).toMatchObject({ mount: true, pid: false, user: false });
    expect(shared.note).toMatch(/^[^.]*process tree[^.]*--privileged[^.]*\.$/);
    const none = await findIsolation(
      0,
      answering(() => 1),
    );
    expect(none).toMatchObject({ mount: false, pid: false, user: false });
    expect(none.note).toMatch(
      /^A mount namespace is not to be had here .*Operation not permitted.*--cap-add SYS_ADMIN.*\.$/,
    );
    expect(
      (
        await findIsolation(
          1000,
          answering(() => 127, "spawn unshare ENOENT"),
        )
      ).note,
    ).toMatch(/install the package util-linux\.$/);
    expect(
      (
        await findIsolation(
          1000,
          answering(() => 1),
        )
      ).note,
    ).toMatch(/: (run `sudo sysctl|allow user namespaces).*\.$/);
  });
});

describe("an isolated process", () => {
  const isolated = async (overrides: Partial<Parameters<typeof isolatedCommand>[0]>) => {
    const isolation = await findIsolation();
    const [program = "", ...words] = await isolatedCommand({
      isolation: { ...isolation, pid: false },
      folder,
      mounts: [],
      accounts: [],
      account: null,
      argv: ["true"],
      ...overrides,
    });
    return execute(program, words);
  };

  it("sees files and folders at other paths, existing or not, and the machine does not", async () => {
    mkdirSync(join(folder, "policies"));
    writeFileSync(join(folder, "policies", "ours.json"), "{}");
    writeFileSync(join(folder, "tool"), "tool text");
    const seen = await isolated({
      mounts: [
        { from: join(folder, "policies"), to: "/etc/some/browser/policies" },
        { from: join(folder, "tool"), to: "/etc/gradientlab/tool" },
      ],
      argv: ["sh", "-c", "ls /etc/some/browser/policies; cat /etc/gradientlab/tool; ls /etc/passwd; echo x > /etc/new"],
    });
    expect(seen.stdout).toBe("ours.json\ntool text/etc/passwd\n");
    expect(seen.stderr).toMatch(/Read-only file system/);
    expect(existsSync("/etc/some")).toBe(false);
  });

  it.runIf(root)("runs as an account that only it has a name for, without any right of root's", async () => {
    const before = readFileSync("/etc/passwd", "utf8");
    const account = { uid: 61_050, gid: 61_050, name: "gradientlab-test" };
    chmodSync(folder, 0o700);
    writeFileSync(join(folder, "data"), "reached");
    const seen = await isolated({
      mounts: [{ from: folder, to: "/etc/gradientlab/data" }],
      accounts: [account],
      account,
      argv: ["sh", "-c", "id -un; id -G; grep CapEff /proc/self/status; cat /etc/gradientlab/data/data 2>&1"],
    });
    const [name, groups, rights, refused] = seen.stdout.split("\n");
    expect([name, groups, rights]).toEqual(["gradientlab-test", "61050", "CapEff:\t0000000000000000"]);
    expect(refused).toMatch(/Permission denied/);
    expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
  });

  it("without namespaces is the command itself", async () => {
    const isolation: Isolation = { mount: false, pid: false, user: false, note: "none" };
    const argv = ["postgres", "-D", "data"];
    expect(await isolatedCommand({ isolation, folder, mounts: [], accounts: [], account: null, argv })).toEqual(argv);
    expect(existsSync(join(folder, "etc"))).toBe(false);
  });
});

it("accounts are numbers that no account of the machine has, one for each role, the same for ever", async () => {
  const isolation: Isolation = { mount: true, pid: true, user: false, note: null };
  const said: string[] = [];
  const browser = await accountFor(folder, "browser", isolation, (line) => said.push(line));
  const database = await accountFor(folder, "database", isolation, (line) => said.push(line));
  expect(browser.uid).not.toBe(database.uid);
  expect(await accountFor(folder, "browser", isolation, (line) => said.push(line))).toEqual(browser);
  const taken = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => Number(line.split(":")[2]));
  expect(taken).not.toContain(browser.uid);
  expect(said).toEqual([]);
});

it("nodes that are made side by side get one account", async () => {
  const isolation: Isolation = { mount: true, pid: true, user: false, note: null };
  const asked = Array.from({ length: 20 }, () => accountFor(folder, "browser", isolation, () => undefined));
  const [first, ...others] = await Promise.all(asked);
  expect(others).toEqual(others.map(() => first));
  expect(JSON.parse(readFileSync(join(folder, "accounts.json"), "utf8")).accounts.browser).toEqual(first);
});
