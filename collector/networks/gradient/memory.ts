import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { type Opener, opened, textOf } from "../../credentials.ts";

/**
 * What is remembered of an account between two readings and over restarts: when it was last read, whether and why reading
 * stopped, and the browser's session, which is as secret as the password.
 */
const Memory = z.object({
  schema: z.literal(1),
  readAt: z.iso.datetime().nullable(),
  leaveAloneUntil: z.iso.datetime().nullable(),
  stopped: z.object({ at: z.iso.datetime(), reason: z.string() }).nullable(),
  session: z
    .object({ cookies: z.array(z.looseObject({ value: z.string() })), origins: z.array(z.looseObject({})) })
    .nullable(),
});
export type Memory = z.infer<typeof Memory>;

const nothing: Memory = { schema: 1, readAt: null, leaveAloneUntil: null, stopped: null, session: null };

/** Where the memory of an account is kept. */
export function memoryFile(directory: string, account: string): string {
  return join(directory, `gradient-${createHash("sha256").update(account).digest("hex").slice(0, 16)}.json`);
}

/** Returns what is remembered; nothing where there is no file yet. @throws what the file system or the form says. */
export async function recall(file: string, opener: Opener): Promise<Memory> {
  try {
    return Memory.parse(opened(JSON.parse(await readFile(file, "utf8")), file, "session", opener));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return nothing;
    throw error;
  }
}

/** Writes the memory whole, readable for its owner only, and encrypted where there is a key. */
export async function remember(file: string, memory: Memory, { key }: Opener): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.part`, textOf(memory, "session", key), { mode: 0o600 });
  await rename(`${file}.part`, file);
}
