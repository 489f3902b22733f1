import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findAccounts, readAccount } from "../../../collector/networks/accounts.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "accounts-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function written(value: unknown, mode = 0o600): Promise<string> {
  const file = join(folder, "a.json");
  await writeFile(file, typeof value === "string" ? value : JSON.stringify(value));
  await chmod(file, mode);
  return file;
}
const complaint = async (file: string): Promise<string> =>
  readAccount(file, { key: null }).then(
    () => "",
    (error: unknown) => String((error as Error).message),
  );

describe("account files", () => {
  it("are found in the order of their names, and known again by their marks", async () => {
    const file = await written({});
    const [first] = await findAccounts(folder);
    expect(first?.file).toBe(file);
    await written({ schema: 1 });
    expect((await findAccounts(folder))[0]?.mark).not.toBe(first?.mark);
    expect(await findAccounts(join(folder, "nowhere"))).toEqual([]);
  });

  it("give the adapter of their network with the account", async () => {
    const file = await written({ schema: 1, network: "ripe-atlas", account: "me", label: "RIPE Atlas", probes: [7] });
    const { adapter, account } = await readAccount(file, { key: null });
    expect(adapter.network).toBe("ripe-atlas");
    expect(account).toMatchObject({ origin: "https://atlas.ripe.net", probes: [7] });
  });

  it("tell every mistake at once, by its field, and never a value", async () => {
    const file = await written({
      schema: 1,
      network: "mysterium",
      account: "a",
      label: "l",
      origin: "http://node:4050",
      signIn: { username: "myst", password: "", pasword: "planted-secret" },
    });
    const told = await complaint(file);
    expect(told).toContain("origin: give an IP address or localhost");
    expect(told).toContain("signIn.password: give the password");
    expect(told).toContain('"pasword": not a known field');
    expect(told).not.toContain("planted-secret");
  });

  it("name the networks there are where theirs is none", async () => {
    const error = await readAccount(await written({ schema: 1, network: "grass" }), { key: null }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({
      code: "account-form",
      fix: expect.stringContaining("mysterium, practice, ripe-atlas"),
    });
  });

  it("are refused when others than their owner may read them, or when they are no JSON", async () => {
    expect(await complaint(await written({}, 0o644))).toContain("others than its owner may read it");
    expect(await complaint(await written("{", 0o600))).toContain("is not JSON");
  });
});
