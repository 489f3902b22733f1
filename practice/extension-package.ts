import { createHash, createPrivateKey, createPublicKey, generateKeyPair } from "node:crypto";
import { chmod, cp, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import crx3 from "crx3";
import { z } from "zod";
import { ExplainedError } from "../infra/problem.ts";

/** A packed extension: its id, its version, the CRX3 file and the same files as a folder, both absolute. */
export interface PackedExtension {
  readonly id: string;
  readonly version: string;
  readonly crx: string;
  readonly folder: string;
}

const Manifest = z.looseObject({ version: z.string(), host_permissions: z.array(z.string()) });

/**
 * Returns the id of the extension that this public key (DER, SPKI) signs: the first 32 hex digits of its SHA-256, mapped
 * from 0–f to a–p. Source: https://developer.chrome.com/docs/extensions/reference/manifest/key and components/crx_file.
 */
function extensionId(publicKeyDer: Uint8Array): string {
  const hex = createHash("sha256").update(publicKeyDer).digest("hex").slice(0, 32);
  return hex.replace(/./g, (digit) => String.fromCharCode("a".charCodeAt(0) + Number.parseInt(digit, 16)));
}

/** Makes the RSA key that signs extensions in `file` (mode 0600) unless it is there: the id hangs on it for ever. */
export async function ensureKey(file: string): Promise<void> {
  if (await present(file)) return;
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  await writeWhole(file, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
}

/**
 * Packs the built extension in `built` into `outDir`, signed by the key in `keyFile`, as `practice-<version>.crx` and a
 * folder `practice-<version>/`, and returns where they are. `version` replaces the manifest's own; `hosts` are match
 * patterns that the extension may reach beside the manifest's.
 * Throws `extension-not-built` when `built` holds no extension.
 */
export async function packExtension({
  built,
  outDir,
  keyFile,
  version: wanted,
  hosts = [],
}: {
  readonly built: string;
  readonly outDir: string;
  readonly keyFile: string;
  readonly version?: string;
  readonly hosts?: readonly string[];
}): Promise<PackedExtension> {
  if (!(await present(join(built, "manifest.json"))))
    throw new ExplainedError(
      "extension-not-built",
      `${built} holds no built practice extension.`,
      "Run `npm start`, which builds it, or call buildExtension of practice/extension-build.ts.",
    );
  const publicKey = createPublicKey(createPrivateKey(await readFile(keyFile))).export({ type: "spki", format: "der" });
  const manifest = Manifest.parse(JSON.parse(await readFile(join(built, "manifest.json"), "utf8")));
  const version = wanted ?? manifest.version;
  const host_permissions = [...new Set([...manifest.host_permissions, ...hosts])];
  const folder = join(outDir, `practice-${version}`);
  const crx = `${folder}.crx`;

  // Made aside and renamed, so that a reader meets the old package or the new one and never half of one.
  const part = join(outDir, `.part-${process.pid}`);
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true, mode: 0o755 });
  const partFolder = join(part, "folder");
  await cp(built, partFolder, { recursive: true });
  const text = JSON.stringify({ ...manifest, version, host_permissions, key: publicKey.toString("base64") }, null, 2);
  await writeFile(join(partFolder, "manifest.json"), text);
  const files = (await readdir(partFolder)).sort().map((name) => join(partFolder, name));
  const partCrx = join(part, "extension.crx");
  await crx3(files, { crxPath: partCrx, keyPath: keyFile, forceDateTime: fixedTime });
  await rm(folder, { recursive: true, force: true });
  await rename(partFolder, folder);
  await chmod(partCrx, 0o644);
  await rename(partCrx, crx);
  await rm(part, { recursive: true, force: true });
  return { id: extensionId(publicKey), version, crx, folder };
}

/** The time that files inside a package carry, so that the same sources and key give the same package. */
const fixedTime = Date.UTC(2020, 0, 1);

/** Writes a file that only its owner may read, whole or not at all, and on disk when the promise resolves. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const part = `${file}.${process.pid}`;
  const handle = await open(part, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
}

async function present(file: string): Promise<boolean> {
  try {
    await readFile(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
