import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSshKey } from "../../collector/journal/ssh-key.ts";
import { accessKeyFile, ensureAccessKeys, publicAccessKeys } from "../../infra/access-keys.ts";

describe("the keys of a home folder", () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "access-keys-"));
  });
  afterEach(() => rm(home, { recursive: true }));

  it("are made once, one for each role, for their owner only", async () => {
    expect(publicAccessKeys(home)).toEqual({ operator: [], collector: [] });
    await Promise.all([ensureAccessKeys(home), ensureAccessKeys(home)]);
    const keys = publicAccessKeys(home);
    expect(keys.collector[0]).toMatch(/^ssh-ed25519 \S+ gradientlab-collector$/);
    expect(keys.operator[0]).not.toBe(keys.collector[0]);
    const file = accessKeyFile(home, "collector");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(readSshKey(file).fingerprint).toMatch(/^SHA256:/);
    await ensureAccessKeys(home);
    expect(publicAccessKeys(home)).toEqual(keys);
  });

  it("have their public half made anew from the private one", async () => {
    await ensureAccessKeys(home);
    const file = `${accessKeyFile(home, "operator")}.pub`;
    const before = await readFile(file, "utf8");
    await rm(file);
    await ensureAccessKeys(home);
    expect(await readFile(file, "utf8")).toBe(before);
  });
});
