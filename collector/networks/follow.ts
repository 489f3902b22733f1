import { explanationOf, sentenceOf } from "../log.ts";
import { findAccounts, readAccount } from "./accounts.ts";
import { type AccountReader, type ReadDependencies, readAccountOnSchedule } from "./read.ts";

/** The accounts of a folder, each read on its schedule as long as its file is there. */
export interface AccountFollower {
  /** Takes up new and changed files and drops those that left. Never throws. */
  look(): Promise<void>;
  /** Looks at every account whether its answers have become too old. Never throws. */
  watchAbsence(): Promise<void>;
  stop(): Promise<void>;
}

interface Followed {
  readonly mark: string;
  readonly reader: AccountReader | null;
}

/** Follows the account files of `folder`. A file that cannot be used is told of once, until it changes. */
export function followAccounts(folder: string, dependencies: ReadDependencies): AccountFollower {
  const { log } = dependencies;
  const followed = new Map<string, Followed>();
  let stopped = false;

  const open = async (file: string): Promise<AccountReader | null> => {
    try {
      const { adapter, account } = await readAccount(file, dependencies.opener);
      const reader = await readAccountOnSchedule(adapter, account, dependencies);
      log("info", "account-followed", { ...reader.key });
      return reader;
    } catch (error) {
      log("error", sentenceOf(error), explanationOf(error));
      return null;
    }
  };

  const lookOnce = async (): Promise<void> => {
    const found = await findAccounts(folder);
    for (const [file, { mark, reader }] of followed) {
      if (found.some((now) => now.file === file && now.mark === mark)) continue;
      await reader?.stop(found.every((now) => now.file !== file));
      followed.delete(file);
    }
    for (const { file, mark } of found) {
      if (stopped || followed.has(file)) continue;
      followed.set(file, { mark, reader: await open(file) });
    }
  };

  let busy: Promise<void> | undefined;
  return {
    look() {
      busy ??= lookOnce()
        .catch((error: unknown) => log("error", `The account files of ${folder} were not read: ${sentenceOf(error)}`))
        .finally(() => {
          busy = undefined;
        });
      return busy;
    },
    async watchAbsence() {
      for (const { reader } of followed.values()) {
        try {
          await reader?.watchAbsence();
        } catch (error) {
          log("error", `The age of ${reader?.key.account}'s readings was not judged: ${sentenceOf(error)}`);
        }
      }
    },
    async stop() {
      stopped = true;
      await busy;
      await Promise.all([...followed.values()].map(({ reader }) => reader?.stop(false)));
    },
  };
}
