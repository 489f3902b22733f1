import { execFile, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder, checkout as source } from "../../infra/engine/environment.ts";
import { type Checkout, copyOfCheckout, processesOf, until, untilNothingRuns } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { machineWideState } from "../harness/machine-wide.ts";
import { browserOf, supervisorOf } from "../harness/node-processes.ts";

const run = promisify(execFile);

/** No account of any machine; the command finds it in a passwd file that only it sees. */
const uid = 61_200;

/**
 * Becomes the ordinary user in the copy of the checkout: the installed packages, which may lie where only root may enter,
 * are shown there as they are, with a folder for what is kept between builds that this user may write.
 */
const become = `set -e
packages=$1 folder=$2 passwd=$3; shift 3
mount --bind "$passwd" /etc/passwd
mount --bind "$packages" "$folder/node_modules"
mount -t tmpfs -o mode=755,uid=${uid},gid=${uid} none "$folder/node_modules/.cache"
cd "$folder"
exec setpriv --reuid ${uid} --regid ${uid} --clear-groups --inh-caps=-all --no-new-privs -- "$@"`;

const root = process.getuid?.() === 0;

describe("an ordinary user", () => {
  let checkout: Checkout;
  let user: string;
  /** The checkout's home folder, longer than a socket's path may be once a browser has added its own. */
  let place: string;
  let env: NodeJS.ProcessEnv;
  let start: ReturnType<typeof spawn>;
  let output = "";
  let api: Api;
  const before = machineWideState();

  const asUser = (...command: readonly string[]): readonly string[] => [
    ...["--mount", "--propagation", "private", "sh", "-c", become, "become"],
    ...[join(source, "node_modules"), checkout.folder, join(user, "passwd"), ...command],
  ];
  const down = async (): Promise<string> => {
    const { stdout, stderr } = await run("unshare", asUser("npm", "run", "--silent", "down"), { env });
    return stdout + stderr;
  };

  beforeAll(async () => {
    if (!root) return;
    checkout = await copyOfCheckout();
    // Beside the home folder of the user, in a folder that goes with the copy.
    user = join(checkout.folder, "user");
    place = join(user, "the-folder-in-which-somebody-keeps-projects", ".gradientlab");
    const home = join(user, "home");
    const cache = join(user, "cache");
    mkdirSync(home, { recursive: true });
    mkdirSync(join(cache, "gradientlab"), { recursive: true });
    copyFileSync("/etc/passwd", join(user, "passwd"));
    appendFileSync(join(user, "passwd"), `ordinary:x:${uid}:${uid}::${home}:/bin/sh\n`);
    const built = existsSync(cacheFolder()) ? readdirSync(cacheFolder()) : [];
    for (const name of built.filter((entry) => /^pulumi-[^/]*[0-9a-f]{12}$/.test(entry)))
      cpSync(join(cacheFolder(), name), join(cache, "gradientlab", name), { recursive: true });
    rmSync(join(checkout.folder, "node_modules"));
    mkdirSync(join(checkout.folder, "node_modules"));
    mkdirSync(join(source, "node_modules", ".cache"), { recursive: true });
    await run("chown", ["-R", `${uid}:${uid}`, checkout.folder]);
    const { PATH, TMPDIR, GRADIENTLAB_TEST_RUN, PLAYWRIGHT_BROWSERS_PATH } = process.env;
    env = {
      PATH,
      TMPDIR,
      GRADIENTLAB_TEST_RUN,
      PLAYWRIGHT_BROWSERS_PATH,
      HOME: home,
      XDG_CACHE_HOME: cache,
      GRADIENTLAB_HOME: place,
    };
  });

  beforeEach(({ skip }) =>
    skip(!root, "only root can become another user; for an ordinary user every test is this one"),
  );
  afterAll(async () => {
    if (start !== undefined) await down();
    if (checkout === undefined) return;
    await untilNothingRuns(checkout.folder);
    rmSync(checkout.folder, { recursive: true });
  });

  it("gets three live nodes by npm start, with an empty home folder", async () => {
    start = spawn("unshare", asUser("npm", "start", "--", "--port", "0"), {
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [start.stdout, start.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    const said = (): string | undefined => /dashboard at (http:\S+)/.exec(output)?.[1];
    await until(
      "the page's address",
      200_000,
      () => said() !== undefined || start.exitCode !== null,
      () => output,
    );
    expect(output).toContain("Three nodes up");
    api = apiAt(said() ?? "");
    await until(
      "three live nodes",
      120_000,
      async () => {
        const nodes = await api.live();
        return (
          nodes.length === 3 && nodes.every((n) => n.layers.app.value === "up" && n.layers.verdict.value === "Good")
        );
      },
      async () => JSON.stringify(await api.live()),
    );
  }, 330_000);

  it("owns every process of them, each node in a namespace of its own", async () => {
    const owners = await Promise.all(processesOf(checkout.folder).map((line) => ownerOf(line.split(" ")[0] ?? "")));
    expect(new Set(owners.filter((owner) => owner !== undefined))).toEqual(new Set([uid]));
    for (const slot of [0, 1, 2]) {
      expect(supervisorOf(place, `local/${slot}`).pid).toBeGreaterThan(0);
      expect(browserOf(place, `local/${slot}`)).toBeGreaterThan(0);
    }
    expect(output).not.toContain("namespace is not to be had");
  });

  it("leaves nothing after npm run down, neither running nor mounted nor outside the checkout", async () => {
    expect(await down()).toContain("The evidence stays in");
    await until("npm start to end", 20_000, () => start.exitCode !== null);
    expect(start.exitCode, output).toBe(0);
    await untilNothingRuns(checkout.folder);
    expect(readdirSync(join(place, "nodes"))).toEqual([]);
    expect((await run("cat", ["/proc/mounts"])).stdout).not.toContain(`/${basename(checkout.folder)}/`);
    expect(machineWideState()).toEqual(before);
    expect(
      readdirSync(join(user, "home"), { recursive: true, encoding: "utf8" }).filter((name) => !name.startsWith(".npm")),
    ).toEqual([]);
  }, 120_000);
});

/** Returns the user number of a process, or `undefined` where it is gone. */
async function ownerOf(pid: string): Promise<number | undefined> {
  const { stdout } = await run("sh", ["-c", `grep ^Uid: /proc/${pid}/status || true`]);
  const found = /^Uid:\s+(\d+)/.exec(stdout)?.[1];
  return found === undefined ? undefined : Number(found);
}
