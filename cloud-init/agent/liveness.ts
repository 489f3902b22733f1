import { existsSync } from "node:fs";
import { LockBusy, withFlock } from "./flock.ts";

/** Returns whether anything of a node lives: its processes hold the lock for as long as one of them runs. */
export function lockIsHeld(lock: string): boolean {
  if (!existsSync(lock)) return false;
  try {
    // Shared, and only for a moment: whoever wants the lock waits longer than that for it.
    return withFlock(lock, "shared", 0, () => false);
  } catch (error) {
    if (error instanceof LockBusy) return true;
    throw error;
  }
}
