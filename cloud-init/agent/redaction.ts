const rules: readonly (readonly [RegExp, string])[] = [
  // JSON Web Tokens, whole or cut short.
  [/\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){0,2}/g, "[redacted]"],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 [redacted]"],
  [
    /((?:token|secret|passw(?:or)?d|passphrase|refresh|authorization|cookie|api[_-]?key|enrol[_-]?code|login[_-]?info)\w*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)/gi,
    "$1[redacted]",
  ],
  [/(https?:\/\/)[^\s/@]+@/g, "$1[redacted]@"],
];

const opaque = /(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{40,}(?![\w-])/g;

/**
 * Returns `text` without what looks like a secret (tokens, authorization values, named secrets, passwords in addresses,
 * opaque words of 40 characters and more) and without any of the `known` secrets.
 */
export function redacted(text: string, known: readonly string[] = []): string {
  let out = text;
  for (const secret of known) out = out.replaceAll(secret, "[redacted]");
  for (const [pattern, replacement] of rules) out = out.replace(pattern, replacement);
  return out.replace(opaque, "[redacted]");
}

/** Returns the strings of `settings` that may be secret: all of them but addresses and words too short to be one. */
export function secretsIn(settings: unknown): string[] {
  if (typeof settings === "string") return settings.length >= 6 && !/^https?:\/\//.test(settings) ? [settings] : [];
  if (typeof settings !== "object" || settings === null) return [];
  return Object.values(settings).flatMap(secretsIn);
}
