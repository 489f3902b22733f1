import { Demand, judge, type Ledgers } from "../budget.ts";
import { ledgersOf } from "../ledgers.ts";
import { findProviders } from "../providers/registry.ts";
import { reportText } from "../report.ts";
import { changedFields, type Properties, type Resource } from "./resource.ts";

/**
 * What was last accepted of all accounts together, kept in the engine's state. Every resource of a cloud depends on it,
 * so that it is judged and recorded before any of them is made. Its check sees what was recorded, in a bare preview and
 * after a half-failed `up` too. A raise is recorded before the first machine of it is made, so that what an `up` failed
 * to finish was accepted; a lower demand is recorded at once too, and machines whose deletion failed go with the next
 * `up` of the same counts.
 *
 * `program` is the folder of the compiled program, whose ledgers both judge by.
 */
export function budget(program: string, extra: string | undefined): Resource<Demand> {
  let found: Ledgers | undefined;
  const ledgers = (): Ledgers => {
    found ??= ledgersOf(findProviders(program, extra).facts);
    return found;
  };
  return {
    inputs: Demand,
    outputs: [],
    notice(before, wanted, { now, say, show }) {
      show(reportText(wanted, ledgers(), now()));
      for (const warning of judge(recorded(before), wanted, ledgers(), now()).warnings) say(warning);
    },
    refuse: (before, wanted, { now }) => judge(recorded(before), wanted, ledgers(), now()).refusals,
    difference: (before, wanted) => ({ updates: changedFields(before, wanted), replaces: [] }),
    create: async () => ({ id: "budget", outputs: {} }),
    read: async (_id, _inputs, outputs) => outputs,
    update: async () => ({}),
    delete: async () => undefined,
  };
}

/**
 * Returns the recorded demand; null where none was. One that an older release wrote in another shape counts as nothing
 * accepted: a raise is refused by what holds now, and a count of 0 is accepted.
 */
function recorded(before: Properties | undefined): Demand | null {
  const parsed = Demand.safeParse(before);
  return parsed.success ? parsed.data : null;
}
