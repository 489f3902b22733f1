import { LockBusy, takeFlock } from "../../cloud-init/agent/flock.ts";

/** Waits until the lock of `file` is free, takes it and returns its release. `waiting` hears of every second's wait. */
export async function lockWhenFree(file: string, waiting: () => void = () => undefined): Promise<() => void> {
  for (;;) {
    try {
      return takeFlock(file, "exclusive", 0);
    } catch (error) {
      if (!(error instanceof LockBusy)) throw error;
    }
    waiting();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
