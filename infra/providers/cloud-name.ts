import { createHash } from "node:crypto";

/**
 * Returns the name of something of a stack, good in every cloud: lower-case letters, digits and hyphens, a letter
 * first, at most 60 characters for a node's key. The stack's part holds no hyphen, so that the names of two stacks in
 * one account never meet; a stack's name that is longer or has other characters is cut and told apart by a hash.
 */
export function cloudName(stack: string, ...parts: readonly (string | number)[]): string {
  const plain = stack.toLowerCase().replace(/[^a-z0-9]/g, "");
  const hash = createHash("sha256").update(stack).digest("hex").slice(0, 6);
  const part = plain === stack && plain.length <= 20 ? plain : `${plain.slice(0, 14)}${hash}`;
  return ["gl", part, ...parts].join("-");
}
