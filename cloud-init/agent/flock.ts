import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";

/** The lock was not free in time. */
export class LockBusy extends Error {
  override readonly name = "LockBusy";
}

/**
 * Takes the flock(2) of `file` and returns its release. Node.js has no flock of its own: flock(1) is given our
 * descriptor and locks the open file that both share, so the lock is ours until we close it, and the kernel's to
 * release if we die. Throws `LockBusy` after `waitSeconds`.
 */
export function takeFlock(file: string, mode: "shared" | "exclusive", waitSeconds: number): () => void {
  const fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const wait = waitSeconds === 0 ? ["--nonblock"] : ["--wait", String(waitSeconds)];
    const { status, error, stderr } = spawnSync("flock", [`--${mode}`, ...wait, "-E", "75", "3"], {
      stdio: ["ignore", "ignore", "pipe", fd],
      encoding: "utf8",
    });
    if (error !== undefined) throw error;
    if (status === 75) throw new LockBusy(`${file} is locked by another process.`);
    if (status !== 0) throw new Error(`flock could not lock ${file}: ${stderr.trim()}`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => closeSync(fd);
}

/** Runs `work` while holding the lock of `file` and returns its result. Throws as `takeFlock` does. */
export function withFlock<T>(file: string, mode: "shared" | "exclusive", waitSeconds: number, work: () => T): T {
  const release = takeFlock(file, mode, waitSeconds);
  try {
    return work();
  } finally {
    release();
  }
}
