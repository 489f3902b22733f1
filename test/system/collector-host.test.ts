import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { accounts } from "../../cloud-init/machine/layout.ts";
import { AgentError } from "../../collector/journal/agent.ts";
import { connectThrough } from "../../collector/journal/ssh.ts";
import { readSshKey } from "../../collector/journal/ssh-key.ts";
import { accessKeyFile } from "../../infra/access-keys.ts";
import { installerOver } from "../../infra/collector-carry.ts";
import { collectorReleaseId } from "../../infra/collector-release.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { machineFiles } from "../../infra/providers/local/machine/emulator.ts";
import { MachineFile } from "../../infra/providers/local/machine/machine.ts";
import { type Checkout, copyOfCheckout, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { imageLacks } from "../harness/image.ts";
import { freePort } from "../harness/sshd.ts";

/** Without hardware's help a machine boots in minutes, and on a busy host in many. */
const waitMs = 60 * 60_000;
const askEveryMs = 1000;

describe("the collector's own machine, as npm run up makes it", () => {
  /** Secrets that an operator has, and where they may stand: with the daemon and with the operator. */
  const planted = `whsec_${randomBytes(24).toString("base64")}`;
  let lacking: string | null = null;
  let copy: Checkout;
  let forward: ChildProcess | undefined;
  let said = "";
  let page = "";
  let api: Api;

  const home = (...path: readonly string[]): string => join(copy.home, ...path);
  const machine = (): MachineFile =>
    MachineFile.parse(JSON.parse(readFileSync(home("machines", "collector", "machine.json"), "utf8")));
  const up = async (): Promise<string> => {
    const told = await copy.sh("npm run --silent up");
    said += told;
    return told;
  };
  const answers = async (path: string): Promise<boolean> => {
    try {
      return (await fetch(`${page}${path}`, { signal: AbortSignal.timeout(60_000) })).ok;
    } catch (error) {
      // Nothing listens there, or what listens has nobody behind it.
      if (error instanceof TypeError || (error as Error).name === "TimeoutError") return false;
      throw error;
    }
  };
  /** Begins the very command that `up` told, and returns when the daemon is ready behind it. */
  const reach = async (): Promise<void> => {
    const [, command = ""] = /Its page: run (ssh .*) and open/.exec(said) ?? [];
    let errors = "";
    await until(
      "the collector to be ready",
      waitMs,
      async () => {
        if (forward === undefined || forward.exitCode !== null) {
          forward = spawn("sh", ["-c", `exec ${command}`], { stdio: ["ignore", "ignore", "pipe"] });
          forward.stderr?.on("data", (text: Buffer) => (errors += text.toString()));
        }
        if (await answers("/readyz")) return true;
        await new Promise((resolve) => setTimeout(resolve, askEveryMs));
        return false;
      },
      () => errors,
    );
  };
  const connected = async (user: string) => {
    const { sshPort, hostKeys } = machine();
    const to = { kind: "ssh" as const, host: "127.0.0.1", port: sshPort, user, hostKeys: [...(hostKeys ?? [])] };
    return await connectThrough(to, readSshKey(accessKeyFile(copy.home, "operator")), () => undefined);
  };
  /** Runs a command there as the operator. The installer's words have the same form. */
  const asked = async (user: string, ...words: readonly string[]) => {
    const connection = await connected(user);
    try {
      return await installerOver(connection)(words);
    } finally {
      connection.end();
    }
  };
  const root = async (...words: readonly string[]): Promise<string> => {
    const { code, out, err } = await asked(accounts.operator, "sudo", ...words);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${out}${err}`);
    return out.trim();
  };
  const releaseInUse = async (): Promise<string> =>
    /^release (\S+)$/m.exec((await asked(accounts.install, "status")).out)?.[1] ?? "";
  const lives = () => api.all("nodes/home/0/incarnations");

  beforeAll(async () => {
    lacking = await imageLacks();
    if (lacking !== null) return;
    const port = await freePort();
    page = `http://127.0.0.1:${port}`;
    api = apiAt(page);
    // A node that is powered off: what its machine is like is no matter here.
    const off = { provider: "local", size: "process", workload: "sentry", network: null, count: 1, stopped: [0] };
    const host = { provider: "local", region: "here", size: "machine" };
    copy = await copyOfCheckout({ groups: { home: off }, fleet: { collector: { host } } });
    mkdirSync(copy.home, { mode: 0o700 });
    writeFileSync(home("collector.env"), `PORT=${port}\n`);
    const channel = { kind: "webhook", name: "hook", url: "https://alerts.example/", secret: planted };
    writeFileSync(home("alerts.json"), JSON.stringify({ schema: 1, channels: [channel] }), { mode: 0o600 });
    await up();
    await reach();
  }, waitMs);
  beforeEach(({ skip }) => skip(lacking !== null, lacking ?? ""));
  afterAll(async () => {
    forward?.kill();
    if (lacking !== null) return;
    await copy.sh("npm run --silent down -- --with-evidence");
    await copy.remove();
  }, waitMs);

  it(
    "boots into the daemon of this very checkout's release, which knows the fleet and serves the page",
    async () => {
      const arch = process.arch === "arm64" ? "arm64" : "x64";
      const id = await collectorReleaseId({ arch, database: true });
      expect(said).toContain(`took release ${id}, `);
      expect(await releaseInUse()).toBe(id);
      expect(await (await fetch(page)).text()).toContain("<title>");
      expect((await api.live()).map(({ key, power }) => ({ key, power }))).toEqual([{ key: "home/0", power: "off" }]);
      expect(await root("systemctl", "show", "--property=User", "--value", "gradientlab-collector")).toBe(
        "gradientlab",
      );
    },
    waitMs,
  );

  it(
    "is brought nothing by a second up",
    async () => {
      expect(await up()).toContain(`collector's machine: up to date with release ${await releaseInUse()}`);
    },
    waitMs,
  );

  it(
    "says what a plain pulumi up leaves to do",
    async () => {
      const told = await copy.sh("npm run --silent pulumi -- preview --stack dev");
      expect(told).toContain("What the collector's own machine runs is brought to it by: npm run up");
    },
    waitMs,
  );

  it(
    "is not removed by accident with what it collected",
    async () => {
      await expect(copy.sh("npm run --silent down")).rejects.toThrow(/npm run down -- --with-evidence/);
      expect(await answers("/readyz")).toBe(true);
    },
    waitMs,
  );

  it(
    "has a backup taken by its own commands",
    async () => {
      const folder = "/var/lib/gradientlab/backups/one";
      const written = await root("gradientlab", "backup", "--to", folder, "--json");
      expect(JSON.parse(written)).toMatchObject({ folder, rows: expect.any(Number) });
    },
    waitMs,
  );

  it(
    "is back with the same data after a reboot",
    async () => {
      const before = await lives();
      expect(before).toHaveLength(1);
      const boot = await root("cat", "/proc/sys/kernel/random/boot_id");
      await asked(accounts.operator, "sudo", "systemctl", "reboot").catch((error: unknown) => {
        // It may go before it answers.
        if (!(error instanceof ExplainedError)) throw error;
      });
      await until(
        "another boot",
        waitMs,
        async () => {
          try {
            return (await root("cat", "/proc/sys/kernel/random/boot_id")) !== boot;
          } catch (error) {
            if (error instanceof AgentError || error instanceof ExplainedError) return false;
            throw error;
          }
        },
        () => readFileSync(home("machines", "collector", machineFiles.console), "latin1").slice(-500),
      );
      await reach();
      expect(await lives()).toEqual(before);
    },
    waitMs,
  );

  it(
    "gets another release when the checkout is another, and keeps its data",
    async () => {
      const [before, first] = [await lives(), await releaseInUse()];
      const file = join(copy.folder, "collector", "main.ts");
      writeFileSync(file, `${readFileSync(file, "utf8")}\n// Another release.\n`);
      expect(await up()).toMatch(/collector's machine: took release \S+ \(/);
      expect(await releaseInUse()).not.toBe(first);
      await reach();
      expect(await lives()).toEqual(before);
    },
    waitMs,
  );

  it(
    "goes back to the release before where one does not become ready, and says why",
    async () => {
      const [before, good] = [await lives(), await releaseInUse()];
      const file = join(copy.folder, "collector", "main.ts");
      writeFileSync(file, `throw new Error("this release is broken");\n${readFileSync(file, "utf8")}`);
      await expect(up()).rejects.toThrow(
        new RegExp(`did not become ready, and ${good} is in its place again: it end.*this release is broken`, "s"),
      );
      expect(await releaseInUse()).toBe(good);
      await reach();
      expect(await lives()).toEqual(before);
    },
    waitMs,
  );

  it(
    "shows no secret to whoever reads user data, console, state or logs",
    async () => {
      const secrets = [
        planted,
        readFileSync(home("credentials.key"), "utf8").trim(),
        // The body of the keys: their first and last lines say nothing.
        ...(["operator", "collector"] as const).map(
          (role) => readFileSync(accessKeyFile(copy.home, role), "utf8").split("\n")[3] ?? "",
        ),
      ];
      for (const secret of secrets) expect(secret.length).toBeGreaterThan(30);
      const filesIn = (folder: string): string[] =>
        readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) =>
          entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
        );
      const folder = home("machines", "collector");
      const shown = [
        ...[join(folder, "seed", "user-data"), join(folder, machineFiles.seed), join(folder, machineFiles.console)],
        ...filesIn(home("state")),
        ...filesIn(home("logs")),
      ];
      const texts = new Map(shown.map((file) => [file, readFileSync(file, "latin1")]));
      texts.set("what up printed", said);
      texts.set("journal", await root("journalctl", "--no-pager", "--output=cat"));
      texts.set("cloud-init", await root("sh", "-c", "'cat /var/log/cloud-init*.log'"));
      texts.set("processes", await root("sh", "-c", '\'cat /proc/[0-9]*/cmdline | tr "\\0" " "\''));
      for (const [name, text] of texts)
        for (const [index, secret] of secrets.entries())
          expect({ name, index, shown: text.includes(secret) }).toEqual({ name, index, shown: false });
      expect(existsSync(join(folder, "seed", "user-data"))).toBe(true);
      const modes = await root(
        "stat",
        "--format=%a:%U",
        "/etc/gradientlab/ssh-key",
        "/etc/gradientlab/credentials.key",
      );
      expect(modes.split("\n")).toEqual(["600:root", "600:root"]);
      expect(await root("stat", "--format=%a:%U", "/var/lib/gradientlab/alerts.json")).toBe("600:gradientlab");
    },
    waitMs,
  );
});
