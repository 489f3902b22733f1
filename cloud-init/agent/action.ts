import { linkSync, rmSync, writeFileSync } from "node:fs";
import { type Action, type ActionDone, nodePaths, readJson } from "./folder.ts";

/** How a wish ended: done (then or long ago), known under the same id as another wish, no supervisor, or too late. */
export type ActionAnswer =
  | { readonly kind: "done"; readonly done: ActionDone }
  | { readonly kind: "other" }
  | { readonly kind: "dead" }
  | { readonly kind: "late" };

/**
 * Asks the node's supervisor for `action` and waits for what becomes of it. An id that was done is never done again:
 * its first outcome is returned. `alive` tells whether the node has a supervisor.
 */
export async function requestAction(
  directory: string,
  action: Action,
  { alive, waitMs }: { readonly alive: () => boolean; readonly waitMs: number },
): Promise<ActionAnswer> {
  const paths = nodePaths(directory);
  const done = (): ActionAnswer | undefined => {
    const found = readJson<ActionDone>(paths.actionDone(action.id));
    if (found === undefined) return undefined;
    return same(found, action) ? { kind: "done", done: found } : { kind: "other" };
  };
  const before = done();
  if (before !== undefined) return before;
  if (!alive()) return { kind: "dead" };
  const asked = placeAction(directory, action);
  if (asked !== undefined && !same(asked, action)) return { kind: "other" };

  const deadline = performance.now() + waitMs;
  for (let round = 1; performance.now() < deadline; round++) {
    const now = done();
    if (now !== undefined) return now;
    // Asking for the lock costs a process: once a second is enough.
    if (round % 20 === 0 && !alive()) return done() ?? { kind: "dead" };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { kind: "late" };
}

/** Writes the wish unless one of that id is there, which is then returned. A link never replaces a file. */
export function placeAction(directory: string, action: Action): Action | undefined {
  const file = nodePaths(directory).action(action.id);
  const part = `${file}.${process.pid}.part`;
  writeFileSync(part, JSON.stringify(action), { mode: 0o600 });
  try {
    linkSync(part, file);
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return readJson<Action>(file);
  } finally {
    rmSync(part);
  }
}

function same(a: Action, b: Action): boolean {
  return a.verb === b.verb && a.layer === b.layer;
}
