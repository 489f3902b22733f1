import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readKey } from "../../../collector/credentials.ts";
import { readAccount } from "../../../collector/networks/accounts.ts";

const launch = join(import.meta.dirname, "..", "..", "..", "infra", "commands", "launch.mjs");
let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "credentials-command-"));
  await mkdir(join(home, "networks"), { mode: 0o700 });
});
afterEach(() => rm(home, { recursive: true }));

async function credentials(words: readonly string[], input = ""): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [launch, "credentials", ...words], {
    env: { PATH: process.env.PATH ?? "", GRADIENTLAB_HOME: home },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(input);
  const [said, complained, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number]>,
  ]);
  return { code, output: `${said}${complained}` };
}

const account = {
  schema: 1,
  network: "ripe-atlas",
  account: "me",
  label: "RIPE Atlas",
  apiKey: "5eed5eed-0000-4000-8000-00000000beef",
};
const inHome = (name: string): string => join(home, name);

describe("npm run credentials", () => {
  it("takes an account, checks it, and keeps it so that the key alone opens it", async () => {
    const { code, output } = await credentials(["set", "networks/atlas.json"], JSON.stringify(account));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain("Keep a copy elsewhere");
    const file = inHome("networks/atlas.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(inHome("credentials.key"))).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).not.toContain("5eed5eed-0000-4000-8000-00000000beef");
    const key = readKey(inHome("credentials.key"));
    expect((await readAccount(file, { key })).account).toMatchObject({
      apiKey: "5eed5eed-0000-4000-8000-00000000beef",
    });
    const shown = await credentials(["show", "networks/atlas.json"]);
    expect(JSON.parse(shown.output)).toEqual(account);
    const again = await credentials(["key"]);
    expect(again.output).toContain(`The key ${key.id} is in`);
    expect(readKey(inHome("credentials.key")).id).toBe(key.id);
  });

  it("encrypts what lies there in plain, once, and says of each file how it lies", async () => {
    await writeFile(inHome("networks/one.json"), JSON.stringify(account));
    await writeFile(inHome("alerts.json"), JSON.stringify({ schema: 1 }));
    for (const name of ["networks/one.json", "alerts.json"]) await chmod(inHome(name), 0o600);
    expect((await credentials(["list"])).output).toBe(
      `plain     ${inHome("networks/one.json")}\nplain     ${inHome("alerts.json")}\n`,
    );
    expect((await credentials(["seal"])).code).toBe(0);
    const sealed = await readFile(inHome("networks/one.json"), "utf8");
    expect(sealed).not.toContain("5eed5eed-0000-4000-8000-00000000beef");
    expect((await credentials(["seal"])).output).toBe("");
    expect(await readFile(inHome("networks/one.json"), "utf8")).toBe(sealed);
    expect((await credentials(["list"])).output).not.toContain("plain");
  });

  it.each([
    [["set", "networks/a.json"], '{"password": "planted-word"', "What came in is not JSON."],
    [["set", "networks/a.json"], '{"network": "nowhere"}', "names no network that this release can read"],
    [["set", "alerts.json"], '{"schema": 1, "chanels": []}', "chanels is not a known field."],
    [["set", "somewhere/else.json"], "{}", '"somewhere/else.json" is not a file of credentials.'],
    [["set"], "{}", '"set" is not a way to use this command.'],
    [["show", "alerts.json"], "", "There is no"],
    [["unseal"], "", '"unseal" is not a way to use this command.'],
  ])("refuses %j of %s, and repeats no value", async (words, input, why) => {
    const { code, output } = await credentials(words, input);
    expect({ code, output }).toMatchObject({ code: 2 });
    expect(output).toContain(why);
    expect(output).not.toContain("planted-word");
    await expect(stat(inHome("networks/a.json"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});
