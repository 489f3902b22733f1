/** Returns whether a machine's console shows that cloud-init came to its end, in this boot or in an earlier one. */
export function hasSetUp(console: string): boolean {
  return /Cloud-init v\. \S+ finished at /.test(console);
}

/**
 * Returns the host keys that cloud-init shows on a machine's console as soon as it has them, as `type body`, or
 * `undefined` where it has none yet. A machine that booted more than once shows them again; the last ones count.
 * Source: cloud-init's module keys_to_console.
 */
export function hostKeysOn(console: string): readonly string[] | undefined {
  const blocks = [
    ...console.matchAll(/-----BEGIN SSH HOST KEY KEYS-----\r?\n([\s\S]*?)-----END SSH HOST KEY KEYS-----/g),
  ];
  const text = blocks.at(-1)?.[1];
  if (text === undefined) return undefined;
  // Where the console is shared, the kernel may write into the block: only whole keys count.
  const keys = text.match(/\b(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]{60,}={0,2}/g) ?? [];
  const ed25519 = keys.filter((key) => /^ssh-ed25519 [A-Za-z0-9+/]{68}$/.test(key));
  // The sshd of a node shows this one only.
  return ed25519.length > 0 ? ed25519 : undefined;
}

/** Returns the last lines of a console as one line for a message, without what drives a terminal. */
export function lastWords(console: string, lines = 6): string {
  return (
    console
      .slice(-4000)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
      .replace(/\u001b\[[0-9;]*[A-Za-z]|[^\n\x20-\x7e]/g, "")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "")
      .slice(-lines)
      .join(" / ")
  );
}
