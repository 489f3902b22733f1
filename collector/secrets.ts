import { redactReading } from "./networks/redaction.ts";

/** The words that may stand in no line of the log, gathered from whoever holds them. */
export interface Secrets {
  /** Asks `words` at every line from now on, until what is returned is called: tokens come and go. */
  know(words: () => readonly string[]): () => void;
  /** Returns `value` with everything secret in its texts and under secret names replaced, however deep. */
  without<Value>(value: Value): Value;
}

const mark = "[redacted]";
// Shorter words stand in every sentence; taking them out would leave none to read.
const leastLength = 4;
const secretName =
  /token|secret|passw(?:or)?d|passphrase|authorization|cookie|api_?key|private_?key|session_?id|^jwt$/i;

/** What looks like a credential wherever it stands, beside what readings are redacted of. */
const patterns: readonly (readonly [RegExp, string])[] = [
  // The password in an address.
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@"]*:)[^\s/@"]+@/gi, `$1${mark}@`],
  [/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g, mark],
  [/\bwhsec_[A-Za-z0-9+/=]{8,}/g, mark],
];

/** Returns secrets of which none is known yet. */
export function openSecrets(): Secrets {
  const known = new Set<() => readonly string[]>();
  const clean = (text: string): string => {
    const words = [...known].flatMap((words) => words()).filter((word) => word.length >= leastLength);
    // A secret may hold another: the longest goes first.
    const longestFirst = words.toSorted((one, other) => other.length - one.length);
    return patterns.reduce((rest, [pattern, by]) => rest.replace(pattern, by), redactReading(text, longestFirst));
  };
  const without = (value: unknown, under: string): unknown => {
    if (typeof value === "string") return secretName.test(under) ? mark : clean(value);
    if (Array.isArray(value)) return value.map((item) => without(item, under));
    if (typeof value !== "object" || value === null) return value;
    // What says itself how it is written down, such as an instant.
    if ("toJSON" in value && typeof value.toJSON === "function") return without(value.toJSON(), under);
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [clean(name), without(item, name)]));
  };
  return {
    know(words) {
      known.add(words);
      return () => void known.delete(words);
    },
    without: <Value>(value: Value) => without(value, "") as Value,
  };
}

/** Returns the passwords in an address, as written and decoded; none where it has none. */
export function passwordsIn(url: string): readonly string[] {
  const { password } = new URL(url);
  return password === "" ? [] : [password, decodeURIComponent(password)];
}
