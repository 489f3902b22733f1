import type { PhaseConfig } from "./config.ts";

/** The name of the end that a phase may lead to. It has no budget. */
export const windDown = "wind-down";

/** The phase that holds at an instant, and the money that may be spent in it. */
export interface CurrentPhase {
  /** Null where the config names none, or where none holds: before its start, after an end, in the wind-down. */
  readonly name: string | null;
  readonly budgetMicroUsdPerMonth: number;
  readonly grantMicroUsd: number | null;
  /** The instants between which this holds; null where there is no bound. */
  readonly from: Date | null;
  readonly to: Date | null;
  /** What follows at `to`. */
  readonly then: string | null;
}

const nothing = { name: null, budgetMicroUsdPerMonth: 0, grantMicroUsd: null, then: null } as const;

/**
 * Returns the phase that holds at `at`: the config's, or what follows it where its end has passed. Where none holds the
 * budget is nothing: no phase is no money.
 */
export function phaseAt(phase: string | null, phases: Readonly<Record<string, PhaseConfig>>, at: Date): CurrentPhase {
  let name = phase;
  let from: Date | null = null;
  while (name !== null && name !== windDown) {
    const config = phases[name];
    if (config === undefined) break;
    const { start, end, then, budgetMicroUsdPerMonth, grantMicroUsd } = config;
    if (start !== null && at < new Date(start)) return { ...nothing, from, to: new Date(start), then: name };
    if (start !== null) from = new Date(start);
    if (end === null || at < new Date(end))
      return { name, budgetMicroUsdPerMonth, grantMicroUsd, from, to: end === null ? null : new Date(end), then };
    from = new Date(end);
    name = then;
  }
  return { ...nothing, from, to: null };
}
