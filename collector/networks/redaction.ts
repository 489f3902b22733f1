import { createHash } from "node:crypto";

/** The version of what `redactReading` takes out; part of every reading. */
export const redactorVersion = 1;

const mark = "[redacted]";

const patterns: readonly (readonly [RegExp, string])[] = [
  // A JSON member whose name says that its value is a credential.
  [
    /("(?:[^"\\]*(?:token|secret|passw(?:or)?d|passphrase|authorization|cookie|api_?key|session_?id)[^"\\]*|refresh|jwt)"\s*:\s*)"(?:[^"\\]|\\.)*"/gi,
    `$1"${mark}"`,
  ],
  // JSON Web Tokens, wherever they stand.
  [/\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g, mark],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/g, `$1 ${mark}`],
];

/**
 * Returns `body` without the `known` secrets, in any spelling JSON or a URL would give them, and without what looks like
 * a credential. Everything else stays byte for byte, but for the character NUL, which becomes U+FFFD.
 */
export function redactReading(body: string, known: readonly string[]): string {
  // The database's text holds every character but this one.
  let text = body.replaceAll("\0", "\ufffd");
  for (const secret of known) {
    if (secret === "") continue;
    for (const spelling of new Set([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])) {
      text = text.replaceAll(spelling, mark);
    }
  }
  for (const [pattern, replacement] of patterns) text = text.replace(pattern, replacement);
  return text;
}

/** Returns the SHA-256 of exactly the bytes that are stored, in hex. */
export function hashOf(body: string): string {
  return createHash("sha256").update(body, "utf8").digest("hex");
}
