import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ExplainedError } from "../../infra/problem.ts";
import type { Opener } from "../credentials.ts";
import { readPrivateJson } from "../private-json.ts";
import type { AccountFile, Adapter } from "./adapter.ts";
import { adapterOf, networkNames } from "./adapters.ts";

/** An account file as it was found. `mark` changes when the file does. */
export interface FoundAccount {
  readonly file: string;
  readonly mark: string;
}

/** Returns the account files in `folder`, in the order of their names; none where there is no such folder. */
export async function findAccounts(folder: string): Promise<readonly FoundAccount[]> {
  const found: FoundAccount[] = [];
  for (const name of await names(folder)) {
    const file = join(folder, name);
    const info = await stat(file);
    found.push({ file, mark: `${info.ino}:${info.size}:${info.mtimeMs}:${info.mode}` });
  }
  return found;
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".json")).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** An account and how its network is read. */
export interface KnownAccount {
  readonly adapter: Adapter;
  readonly account: AccountFile;
}

/**
 * Returns the account in a file with the adapter of its network.
 * @throws ExplainedError when others than its owner may read it, when this release has no adapter for its network, or
 * with every mistake in it; its contents stand in no message.
 */
export async function readAccount(file: string, opener: Opener): Promise<KnownAccount> {
  const value = await readPrivateJson(
    file,
    {
      purpose: "account",
      code: "account",
      open: `The account file ${file} holds a password and others than its owner may read it.`,
      notJson: `The account file ${file} is not JSON.`,
      fix: "Write it anew.",
    },
    opener,
  );
  return accountIn(value, `The account file ${file}`);
}

/** Returns the account that `value` is; `what` names it in messages. @throws ExplainedError as `readAccount`. */
export function accountIn(value: unknown, what: string): KnownAccount {
  const named = z.object({ network: z.string() }).safeParse(value);
  const adapter = named.success ? adapterOf(named.data.network) : undefined;
  if (adapter === undefined) {
    const networks = networkNames().join(", ");
    throw new ExplainedError(
      "account-form",
      `${what} names no network that this release can read.`,
      `Let "network" be one of: ${networks}.`,
    );
  }
  const result = adapter.accountFile.safeParse(value);
  if (result.success) return { adapter, account: result.data };
  // Named by their paths alone: the value of a wrong field may be a password.
  const mistakes = result.error.issues.map((issue) =>
    issue.code === "unrecognized_keys"
      ? `${issue.keys.map((key) => JSON.stringify(key)).join(", ")}: not a known field.`
      : `${issue.path.join(".") || "the file"}: ${issue.message}.`,
  );
  throw new ExplainedError(
    "account-form",
    `${what} is not a ${adapter.network} account: ${mistakes.join(" ")}`,
    "Correct the fields named; docs/networks.md shows the whole form.",
  );
}
