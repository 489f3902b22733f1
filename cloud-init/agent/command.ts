import { redacted } from "./redaction.ts";

/** The verbs that the collector's key may run. */
const allowed = ["version", "status", "sample", "samples", "logs", "recover"];

/** What a key asked for over SSH: words of a verb, or something that it may not do, told without secrets. */
export type Asked =
  | { readonly kind: "verb"; readonly words: readonly string[] }
  | { readonly kind: "refused"; readonly asked: string };

/**
 * Returns what `$SSH_ORIGINAL_COMMAND` asks for. There is no shell: words are what stands between spaces, of letters,
 * digits and `:._-` only, and the first is a verb. An absent command asked for a shell.
 */
export function askedOver(command: string | undefined): Asked {
  if (command === undefined || command.trim() === "") return { kind: "refused", asked: "a shell" };
  const words = command.split(" ").filter((word) => word !== "");
  const plain = /^[A-Za-z0-9:._ -]{1,400}$/.test(command) && allowed.includes(words[0] ?? "");
  return plain ? { kind: "verb", words } : { kind: "refused", asked: redacted(command.slice(0, 200)) };
}
