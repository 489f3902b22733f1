import type { Account } from "../../../isolation.ts";

/** How a group was started on this machine, in `launch.json` beside its spec: what the supervisor has to know. */
export interface Launch {
  readonly schema: 1;
  /** The group's folder as its own processes see it. */
  readonly view: string;
  /** A Node.js binary that every account of the group can run. */
  readonly runtime: string;
  /** The browser's binary, or null where no unit needs one. */
  readonly browser: string | null;
  /** Switches that this start of the browser needs beyond the unit's own. */
  readonly browserSwitches: readonly string[];
  /** Whom `unprivileged` units run as, or null where they run as the supervisor does, without its rights. */
  readonly account: Account | null;
  /** Whether the group's processes are a tree of their own. */
  readonly ownProcesses: boolean;
}

/** The exit code by which the supervisor asks to be started again at once, with the whole group. */
export const rebootExitCode = 86;
