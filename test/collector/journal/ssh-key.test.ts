import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSshKey } from "../../../collector/journal/ssh-key.ts";
import { BadInput } from "../../../infra/problem.ts";
import { keyPair } from "../../harness/sshd.ts";

describe("the collector's own key", () => {
  const pair = keyPair();
  let folder: string;
  const written = async (text: string, mode = 0o600): Promise<string> => {
    const file = join(folder, "key");
    await rm(file, { force: true });
    await writeFile(file, text, { mode });
    return file;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ssh-key-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("is read with its fingerprint", async () => {
    expect(readSshKey(await written(pair.key.privateKey))).toEqual(pair.key);
  });

  it.each([
    ["is not there", undefined, 0o600, "cannot be read"],
    ["may be read by others", pair.key.privateKey, 0o640, "others than its owner may read"],
    ["is the public half", pair.public, 0o600, "is a public key"],
    ["is no key", "hello\n", 0o600, "holds no key that can be used"],
  ])("is refused, naming SSH_KEY and the file, when it %s", async (_what, text, mode, complaint) => {
    const file = text === undefined ? join(folder, "absent") : await written(text, mode);
    expect(() => readSshKey(file)).toThrow(BadInput);
    expect(() => readSshKey(file)).toThrow(`SSH_KEY is ${file}, which ${complaint}`);
  });
});
