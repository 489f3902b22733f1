import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { browserPolicy, updateManifest } from "../../../../../cloud-init/workloads/sentry/policy.ts";
import { nextBackoff } from "../../../../../infra/providers/local/process/backoff.ts";
import { extensionId, unpackExtension } from "../../../../../infra/providers/local/process/crx.ts";
import { packExtension, temporaryFolder } from "./fixture.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

it("a packed extension is unpacked as it was, with the key that keeps its id", async () => {
  const { id, crx } = await packExtension(folder.path);
  const target = join(folder.path, "unpacked");
  await unpackExtension(crx, id, target);
  const source = new URL("./extension/", import.meta.url);
  for (const name of ["popup.html", "worker.js", "schema.json"])
    expect(readFileSync(join(target, name), "utf8")).toBe(readFileSync(new URL(name, source), "utf8"));
  const manifest = JSON.parse(readFileSync(join(target, "manifest.json"), "utf8")) as { key: string; name: string };
  expect(manifest.name).toBe("Heartbeat for tests");
  expect(extensionId(Buffer.from(manifest.key, "base64"))).toBe(id);
});

it("what is no packed extension of that id is refused with a sentence", async () => {
  const { crx } = await packExtension(folder.path);
  const { publicKey } = generateKeyPairSync("ed25519");
  const other = extensionId(publicKey.export({ type: "spki", format: "der" }));
  await expect(unpackExtension(crx, other, folder.path)).rejects.toThrow(`holds no key of the extension ${other}`);
  const text = join(folder.path, "text.crx");
  writeFileSync(text, "no extension at all");
  await expect(unpackExtension(text, other, folder.path)).rejects.toMatchObject({ code: "bad-extension" });
});

it("an extension's id is the one its public key makes", () => {
  // The manifest key of the documentation's example and its id would do as well; this is SHA-256 of nothing.
  expect(extensionId(new Uint8Array())).toBe("odlameecjipmbmbejkplpemijjgpljce");
});

it("the policy forces one extension from its own folder, blocks all others and hands over the settings", () => {
  const id = "a".repeat(32);
  const network = {
    name: "practice",
    origin: "http://127.0.0.1:9",
    extension: { id, version: "1.0", crx: "/x.crx" },
    settings: { origin: "http://127.0.0.1:9", enrolCode: "code" },
  };
  const policy = browserPolicy(network, "/node folder/extension");
  expect(policy.ExtensionSettings).toEqual({
    "*": { installation_mode: "blocked" },
    [id]: {
      installation_mode: "force_installed",
      update_url: "file:///node%20folder/extension/updates.xml",
      override_update_url: true,
    },
  });
  expect(policy["3rdparty"]).toEqual({ extensions: { [id]: network.settings } });
  expect(policy.DeveloperToolsAvailability).toBe(1);
  expect(browserPolicy(null, "/x")).not.toHaveProperty("ExtensionSettings");
  expect(updateManifest({ id, version: "1.0" }, "/node folder/extension/a.crx")).toContain(
    `<updatecheck codebase="file:///node%20folder/extension/a.crx" version="1.0"/>`,
  );
});

it("a unit that ends again and again waits longer each time, yet is always back within 30 s", () => {
  const delays: number[] = [];
  let backoff = nextBackoff(null, 0);
  for (let i = 0; i < 8; i++) {
    delays.push(backoff.delayMs);
    backoff = nextBackoff(backoff, 500);
  }
  expect(delays).toEqual([1000, 2000, 4000, 8000, 16_000, 25_000, 25_000, 25_000]);
  expect(nextBackoff(backoff, 60_000)).toEqual({ delayMs: 1000 });
});
