import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { ExplainedError } from "../infra/problem.ts";
import { othersMayRead } from "./file-mode.ts";

/**
 * Credentials at rest: JSON encrypted with AES-256-GCM under a key of its own file. Each time has a fresh 96-bit nonce, and
 * what a file is for is authenticated with it, so that none can be put in another's place.
 */

/** What a file of credentials is for. */
export type Purpose = "account" | "alerts" | "session";

/** The key, and the short name by which files say which one they were encrypted with. */
export interface CredentialsKey {
  readonly id: string;
  readonly bytes: Buffer;
}

/** How files of credentials are opened. */
export interface Opener {
  /** null: only what lies there unencrypted can be read, and nothing is encrypted. */
  readonly key: CredentialsKey | null;
  /** Hears of a file that lies there unencrypted. */
  readonly plain?: (file: string) => void;
}

const Sealed = z.strictObject({
  sealed: z.literal(1),
  purpose: z.string(),
  key: z.string(),
  nonce: z.base64(),
  data: z.base64(),
});

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** Returns the text of a new key's file. */
export function newKeyText(): string {
  return `${randomBytes(keyBytes).toString("base64")}\n`;
}

/**
 * Returns the key in `file`: 32 bytes in base64.
 * @throws ExplainedError where it is missing, others than its owner may read it, or it is no key.
 */
export function readKey(file: string): CredentialsKey {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(file, "utf8").trim();
    mode = statSync(file).mode;
  } catch (error) {
    throw new ExplainedError(
      "credentials-key",
      `The credentials' key ${file} cannot be read: ${(error as Error).message}.`,
      "Name the file of the key, or make one: npm run credentials -- key.",
      { cause: error },
    );
  }
  if (othersMayRead(file, mode)) {
    const message = `The credentials' key ${file} may be read by others than its owner.`;
    throw new ExplainedError("credentials-key", message, `Run chmod 600 ${file}.`);
  }
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== keyBytes || bytes.toString("base64") !== text) {
    const message = `The credentials' key ${file} is not ${keyBytes} bytes in base64.`;
    throw new ExplainedError(
      "credentials-key",
      message,
      "Put the right file there, or make a key: npm run credentials -- key.",
    );
  }
  return { id: createHash("sha256").update("credentials key ").update(bytes).digest("hex").slice(0, 12), bytes };
}

/** Returns `value` as the JSON text of a file: encrypted, or as it is where there is no key. */
export function textOf(value: unknown, purpose: Purpose, key: CredentialsKey | null): string {
  if (key === null) return `${JSON.stringify(value, null, 2)}\n`;
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key.bytes, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(`gradientlab credentials 1 ${purpose}`));
  const data = Buffer.concat([cipher.update(JSON.stringify(value), "utf8"), cipher.final(), cipher.getAuthTag()]);
  const sealed: z.infer<typeof Sealed> = {
    sealed: 1,
    purpose,
    key: key.id,
    nonce: nonce.toString("base64"),
    data: data.toString("base64"),
  };
  return `${JSON.stringify(sealed, null, 2)}\n`;
}

/** Returns whether the JSON of a file is encrypted. */
export function isSealed(value: unknown): boolean {
  return typeof value === "object" && value !== null && "sealed" in value;
}

/**
 * Returns what the JSON of `file` says, decrypted where it is encrypted.
 * @throws ExplainedError where there is no key for it, or it is damaged or for another purpose.
 */
export function opened(value: unknown, file: string, purpose: Purpose, { key, plain }: Opener): unknown {
  if (!isSealed(value)) {
    plain?.(file);
    return value;
  }
  const refuse = (message: string, fix: string): ExplainedError =>
    new ExplainedError("credentials-sealed", `${file} is encrypted, and ${message}.`, fix);
  if (key === null)
    throw refuse("no key is known", "Let CREDENTIALS_KEY name the file of the key it was written with.");
  const found = Sealed.safeParse(value);
  const again = "Write it anew: npm run credentials -- set.";
  if (!found.success) throw refuse("its form is not one that this release writes", again);
  const { data: sealed } = found;
  if (sealed.key !== key.id) {
    throw refuse(
      `it was written with the key ${sealed.key}, not with ${key.id}`,
      "Let CREDENTIALS_KEY name the file of that key, or write the credentials anew: npm run credentials -- set.",
    );
  }
  const data = Buffer.from(sealed.data, "base64");
  const decipher = createDecipheriv("aes-256-gcm", key.bytes, Buffer.from(sealed.nonce, "base64"), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.from(`gradientlab credentials 1 ${purpose}`));
  try {
    decipher.setAuthTag(data.subarray(-tagBytes));
    const text = Buffer.concat([decipher.update(data.subarray(0, -tagBytes)), decipher.final()]).toString("utf8");
    return JSON.parse(text);
  } catch (error) {
    // What Node says of a tag that does not fit names neither the file nor what to do.
    throw new ExplainedError(
      "credentials-sealed",
      `${file} is encrypted, and it was changed since or is not for ${purpose}.`,
      again,
      { cause: error },
    );
  }
}
