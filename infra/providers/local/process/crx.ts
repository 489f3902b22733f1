import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { inflateRawSync } from "node:zlib";
import { ExplainedError } from "../../../problem.ts";

/**
 * A packed extension: the header of CRX version 3 (https://crrev.com/crx3.proto) before a ZIP archive. Only what is
 * needed to load it unpacked with its id unchanged.
 */

interface ZipEntry {
  readonly name: string;
  readonly bytes: Buffer;
}

/**
 * Unpacks `crx` into `folder` with the public key that makes `id` in its manifest, so that the browser gives it the
 * same id as when it is installed. Throws `bad-extension` where the file is no such extension.
 */
export async function unpackExtension(crx: string, id: string, folder: string): Promise<void> {
  const bytes = await readFile(crx);
  if (bytes.toString("latin1", 0, 4) !== "Cr24" || bytes.readUInt32LE(4) !== 3) throw bad(crx, "is not a CRX 3 file");
  const headerEnd = 12 + bytes.readUInt32LE(8);
  const key = publicKeys(bytes.subarray(12, headerEnd)).find((candidate) => extensionId(candidate) === id);
  if (key === undefined) throw bad(crx, `holds no key of the extension ${id}`);
  for (const { name, bytes: content } of zipEntries(bytes.subarray(headerEnd), crx)) {
    const path = normalize(name);
    if (path.startsWith("..") || path.startsWith("/")) throw bad(crx, `holds the path ${JSON.stringify(name)}`);
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    if (name.endsWith("/")) continue;
    const text =
      path === "manifest.json"
        ? JSON.stringify({ ...(JSON.parse(content.toString("utf8")) as object), key: key.toString("base64") })
        : content;
    await writeFile(file, text);
  }
}

/** Returns the id of an extension: the first 16 bytes of the key's SHA-256, written with the letters a to p. */
export function extensionId(publicKey: Uint8Array): string {
  const hex = createHash("sha256").update(publicKey).digest("hex").slice(0, 32);
  return [...hex].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 16))).join("");
}

/** The public keys of a CrxFileHeader: field 1 of each AsymmetricKeyProof in its fields 2 and 3. */
function publicKeys(header: Buffer): Buffer[] {
  return fields(header)
    .filter(({ field }) => field === 2 || field === 3)
    .flatMap(({ value }) => fields(value))
    .filter(({ field }) => field === 1)
    .map(({ value }) => value);
}

/** The length-delimited fields of a protocol buffer; a header has no others. */
function fields(bytes: Buffer): { field: number; value: Buffer }[] {
  const found: { field: number; value: Buffer }[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = varint();
    found.push({ field: tag >> 3, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return found;
}

function zipEntries(zip: Buffer, crx: string): ZipEntry[] {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw bad(crx, "holds no ZIP archive");
  const entries: ZipEntry[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const method = zip.readUInt16LE(at + 10);
    const packed = zip.readUInt32LE(at + 20);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString("utf8", at + 46, at + 46 + (nameLength ?? 0));
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const data = zip.subarray(start, start + packed);
    if (method !== 0 && method !== 8) throw bad(crx, `packs ${name} by method ${method}`);
    entries.push({ name, bytes: method === 0 ? data : inflateRawSync(data) });
    at += 46 + (nameLength ?? 0) + (extraLength ?? 0) + (commentLength ?? 0);
  }
  return entries;
}

function bad(crx: string, what: string): ExplainedError {
  return new ExplainedError("bad-extension", `${crx} ${what}.`, "Pack the extension again as CRX 3.");
}
