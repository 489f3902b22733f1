import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ExplainedError } from "../../infra/problem.ts";
import { AccountFile } from "./adapter.ts";

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

/**
 * Returns the account in a file.
 * @throws ExplainedError when others than its owner may read it, or it has another form; its contents stand in no message.
 */
export async function readAccount(file: string): Promise<AccountFile> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) {
    throw new ExplainedError(
      "account-open",
      `The account file ${file} holds a password and others than its owner may read it.`,
      `Run chmod 600 ${file}.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ExplainedError("account-form", `The account file ${file} is not JSON.`, "Write it anew.");
  }
  const result = AccountFile.safeParse(value);
  if (result.success) return result.data;
  const fields = result.error.issues.map(({ path }) => path.join(".") || "the file").join(", ");
  throw new ExplainedError(
    "account-form",
    `The account file ${file} has a missing or wrong field: ${fields}.`,
    'It holds {"schema": 1, network, account, origin, label, email, password}.',
  );
}
