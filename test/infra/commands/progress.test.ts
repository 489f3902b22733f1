import { afterEach, describe, expect, it, vi } from "vitest";
import { progressOn } from "../../../infra/commands/progress.ts";

function sink(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, write: (text: string) => written.push(text), text: () => written.join("") };
}

afterEach(() => vi.useRealTimers());

describe("progress", () => {
  it("writes a line every five seconds where nobody watches, and one at the end", async () => {
    vi.useFakeTimers();
    const out = sink(false);
    const step = progressOn(out, () => Date.now()).step("engine", async (say) => {
      say("fetching");
      await new Promise((resolve) => setTimeout(resolve, 7000));
      say("building");
      await new Promise((resolve) => setTimeout(resolve, 4000));
      say("built");
      return 7;
    });
    await vi.runAllTimersAsync();
    expect(await step).toBe(7);
    expect(out.text()).toBe("  … engine: fetching (5 s)\n  … engine: building (10 s)\n  ✓ engine: built (11 s)\n");
  });

  it("shows a failed step and throws its error on", async () => {
    const out = sink(false);
    const failure = new Error("no disk");
    await expect(progressOn(out, () => 0).step("page", () => Promise.reject(failure))).rejects.toBe(failure);
    expect(out.text()).toBe("  ✗ page (0 s)\n");
  });

  it("redraws the running steps in place on a terminal and leaves a finished line for each", async () => {
    const out = sink(true);
    const progress = progressOn(out, () => 0);
    await Promise.all([progress.step("a", async (say) => say("one")), progress.step("b", async (say) => say("two"))]);
    expect(out.text()).toContain("\u001b[");
    expect(out.text()).toContain("  ✓ a: one (0 s)\n");
    expect(out.text()).toContain("  ✓ b: two (0 s)\n");
  });
});
