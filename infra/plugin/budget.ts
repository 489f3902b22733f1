import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { Demand, heldAfter, judge, type Ledgers } from "../budget.ts";
import { ledgersOf } from "../ledgers.ts";
import { findProviders } from "../providers/registry.ts";
import { reportText } from "../report.ts";
import { type Around, canonical, changedFields, type Properties, type Resource } from "./resource.ts";

/** What stands in the engine's state: the demand last accepted, and how what may be left of earlier ones is told. */
const Accepted = Demand.extend({
  /** This record's own mark. */
  record: z.string().optional(),
  /** The mark of the record that this one replaced. While that one is not gone, `held` may still exist. */
  after: z.string().optional(),
});
type Accepted = z.infer<typeof Accepted>;

/** The marks of records that are gone, newest last, in the home folder. */
const Gone = z.strictObject({ schema: z.literal(1), gone: z.array(z.string()) });
const goneFile = "accepted-before.json";
const mostGone = 100;

/**
 * What was last accepted of all accounts together, kept in the engine's state. Every resource of a cloud depends on it,
 * so that it is judged and recorded before any of them is made, and its check sees what was recorded, in a bare preview and
 * after a half-failed `up` too.
 *
 * A raise is recorded in place, before the first machine of it is made: what an `up` failed to finish was accepted. A
 * change that lowers anything makes a new record, which holds the most of both, in place of the old one. The engine deletes
 * the old one last, once everything that depended on it is gone: then, and not before, only what is wanted may still exist.
 * That it is gone is noted in the home folder. From a home that does not know it, what may be left is counted until an `up`
 * from there is complete.
 *
 * `program` is the folder of the compiled program, whose ledgers both judge by. `told` is whether somebody else has shown
 * what the fleet costs.
 */
export function budget(program: string, extra: string | undefined, told = false): Resource<Demand> {
  let found: Ledgers | undefined;
  const ledgers = (): Ledgers => {
    found ??= ledgersOf(findProviders(program, extra).facts);
    return found;
  };
  const mark = randomUUID();
  // The engine checks what it replaces a second time, with nothing in the place of what was before.
  let first: Properties | undefined;
  const stateOf = (before: Properties | undefined): Properties | undefined => {
    if (hasFields(before)) first ??= before;
    return hasFields(before) ? before : first;
  };
  const lastOf = (before: Properties | undefined, { home }: Around): Accepted | null =>
    settled(recorded(stateOf(before)), home);
  return {
    inputs: Demand,
    outputs: [],
    notice(before, wanted, around) {
      if (!hasFields(before) && first !== undefined) return;
      const { now, say, show } = around;
      if (!told) show(reportText(wanted, ledgers(), now()));
      for (const warning of judge(lastOf(before, around), wanted, ledgers(), now()).warnings) say(warning);
    },
    refuse: (before, wanted, around) => judge(lastOf(before, around), wanted, ledgers(), around.now()).refusals,
    kept(before, wanted, around) {
      const named = recorded(stateOf(before));
      const last = lastOf(before, around);
      const held = heldAfter(last, wanted);
      if (held !== undefined) return { ...wanted, held, record: mark, after: named?.record ?? "" };
      const { held: _held, after: _after, record = mark, ...demand }: Accepted = named ?? wanted;
      return named !== null && canonical(demand) === canonical(wanted) ? named : { ...wanted, record };
    },
    difference(before, wanted) {
      const updates = changedFields(before, wanted);
      const replaced = before.record !== undefined && updates.includes("record");
      return replaced ? { updates, replaces: ["record"], deletedLast: true } : { updates, replaces: [] };
    },
    create: async () => ({ id: "budget", outputs: {} }),
    read: async (_id, _inputs, outputs) => outputs,
    update: async () => ({}),
    async delete(_id, inputs, { home }) {
      const { record = "" } = Accepted.pick({ record: true }).parse({ record: inputs.record });
      const gone = [...goneIn(home).filter((each) => each !== record), record].slice(-mostGone);
      mkdirSync(home, { recursive: true });
      const file = join(home, goneFile);
      writeFileSync(`${file}.new`, `${JSON.stringify({ schema: 1, gone } satisfies z.infer<typeof Gone>)}\n`);
      renameSync(`${file}.new`, file);
    },
  };
}

/**
 * Returns the recorded demand; null where none was. One that an older release wrote in another shape counts as nothing
 * accepted: a raise is refused by what holds now, and a count of 0 is accepted.
 */
function recorded(before: Properties | undefined): Accepted | null {
  const parsed = Accepted.safeParse(before);
  return parsed.success ? parsed.data : null;
}

/** Returns a record without what may be left over, where the record that it replaced is gone. */
function settled(record: Accepted | null, home: string): Accepted | null {
  if (record?.held === undefined || !goneIn(home).includes(record.after ?? "")) return record;
  const { held: _, ...rest } = record;
  return rest;
}

function hasFields(before: Properties | undefined): boolean {
  return before !== undefined && Object.keys(before).length > 0;
}

function goneIn(home: string): readonly string[] {
  try {
    return Gone.parse(JSON.parse(readFileSync(join(home, goneFile), "utf8"))).gone;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
