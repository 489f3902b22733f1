import { chmod, chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Isolation, isolatedCommand } from "../../../../../infra/isolation.ts";
import {
  type Beats,
  buildArtefacts,
  execute,
  listenForBeats,
  type PackedExtension,
  packExtension,
  sentrySpec,
  temporaryFolder,
} from "./fixture.ts";

const checkout = fileURLToPath(new URL("../../../../../", import.meta.url));
const program = fileURLToPath(new URL("./one-life.ts", import.meta.url));
const root = process.getuid?.() === 0;
/** No account of any machine: an ordinary user needs no line in the passwd file. */
const ordinary = {
  uid: root ? 61_100 : (process.getuid?.() ?? 0),
  gid: root ? 61_100 : (process.getgid?.() ?? 0),
  name: "ordinary",
};

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let extension: PackedExtension;
let beats: Beats;

beforeAll(async () => {
  folder = await temporaryFolder();
  await chmod(folder.path, 0o755);
  [extension, , beats] = await Promise.all([
    packExtension(folder.path),
    buildArtefacts(join(folder.path, "bin")),
    listenForBeats(),
  ]);
});
afterAll(async () => {
  await beats.close();
  await folder.remove();
});

/** Who lives it, and in what: root shows the checkout to the ordinary user, who may not reach it where it lies. */
type Setting = (argv: readonly string[], own: string) => readonly string[] | Promise<readonly string[]>;

const shownAtMnt = (argv: readonly string[]): readonly string[] =>
  argv.map((word) => (word.startsWith(checkout) ? `/mnt/${word.slice(checkout.length)}` : word));

const asOrdinary: Setting = (argv, own) =>
  root
    ? isolatedCommand({
        isolation: { mount: true, pid: false, user: false, note: null },
        folder: own,
        mounts: [{ from: checkout, to: "/mnt" }],
        accounts: [],
        account: ordinary,
        argv: shownAtMnt(argv),
      })
    : argv;

/**
 * Accounts that are added and folders that are made stay in a layer of the test's own, in which the checkout lies where
 * every account may go.
 */
const asRootInLayers: Setting = (argv, own) => [
  "unshare",
  "--mount",
  "--propagation",
  "private",
  "sh",
  "-c",
  `set -e; cd "$1"; mount --bind "$2" /mnt; shift 2; mkdir upper work
   mount -t overlay overlay -o lowerdir=/etc,upperdir=upper,workdir=work /etc
   mount -t tmpfs tmpfs /var/lib
   "$@"; grep -c gradientlab- /etc/passwd >&2`,
  "layers",
  own,
  checkout,
  ...shownAtMnt(argv),
];

async function life(
  name: string,
  setting: Setting,
  isolation?: Isolation,
): Promise<{ seen: Record<string, unknown>; said: string }> {
  const own = join(folder.path, name);
  await mkdir(own);
  await chown(own, ordinary.uid, ordinary.gid);
  const home = join(own, "home");
  const argument = JSON.stringify({
    home,
    directory: join(home, "nodes", "home", "0"),
    artefacts: join(folder.path, "bin"),
    spec: sentrySpec(extension, beats.origin, { everySeconds: 1 }),
    isolation,
  });
  const [command = "", ...words] = await setting([process.execPath, program, argument], own);
  const { code, stdout, stderr } = await execute(command, words, { ...process.env, HOME: own });
  if (code !== 0) throw new Error(`The life of ${name} ended with ${code}: ${stderr}`);
  return { seen: JSON.parse(stdout) as Record<string, unknown>, said: stderr };
}

it("an ordinary user gets a node with its own policy, its own processes and the same id after a kill", async () => {
  const { seen } = await life("ordinary", asOrdinary);
  expect(seen).toMatchObject({ uid: ordinary.uid, note: null, left: [], byLoad: false, version: "1.2.3" });
  const [first, second] = seen.ids as string[];
  expect(second).toBe(first);
});

it("an ordinary user without namespaces gets the extension by a switch, and nothing outlives the group", async () => {
  const note = "A mount namespace is not to be had here: allow it.";
  const { seen } = await life("without", asOrdinary, { mount: false, pid: false, user: false, note });
  expect(seen).toMatchObject({ uid: ordinary.uid, note, left: [], byLoad: true, version: "1.2.3" });
  const [first, second] = seen.ids as string[];
  expect(second).toBe(first);
});

it("an ordinary user without a process tree of its own still gets the policy, and nothing outlives the group", async () => {
  const { seen } = await life("shared", asOrdinary, {
    mount: true,
    pid: false,
    user: !root || ordinary.uid !== 0,
    note: "Shared.",
  });
  expect(seen).toMatchObject({ note: "Shared.", left: [], byLoad: false, version: "1.2.3" });
});

it.runIf(root)("root without namespaces adds one account, once, says so, and nothing outlives the group", async () => {
  const note = "A mount namespace is not to be had here: allow it.";
  const { seen, said } = await life("root", asRootInLayers, { mount: false, pid: false, user: false, note });
  expect(seen).toMatchObject({ uid: 0, note, left: [], byLoad: true, version: "1.2.3" });
  const [first, second] = seen.ids as string[];
  expect(second).toBe(first);
  expect(seen.account).not.toBe(0);
  expect(said.match(/system account gradientlab-browser was added/g)).toHaveLength(1);
  expect(said.trim().split("\n").at(-1)).toBe("1");
});
