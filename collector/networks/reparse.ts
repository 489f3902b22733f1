import type { Archives } from "../store/archive/archives.ts";
import type { Database } from "../store/database.ts";
import { type StoredReading, storedReadings, storeReparsed } from "../store/reparse.ts";
import type { Adapter, ParsedFact } from "./adapter.ts";
import { NetworkError } from "./outcome.ts";

/** One value that the parser of this release reads in another way than the newest one before it. */
export interface ParseChange {
  readonly reading: string;
  readonly call: string;
  readonly metric: string;
  readonly networkNodeId: string | null;
  readonly day: string | null;
  /** What was read before, null where nothing was. */
  readonly before: string | null;
  /** What is read now, null where nothing is. */
  readonly now: string | null;
}

/** What reading old answers anew found. */
export interface Reparsed {
  readonly readings: number;
  /** Readings of which something is read in another way. */
  readonly changed: number;
  /** Facts that were stored: none unless it was asked for. */
  readonly stored: number;
}

const batch = 500;

/**
 * Reads the stored answers of a network since an instant with the parser of this release, and tells each value that it
 * reads in another way. With `store` the facts of every reading that another parser read last are added beside the old
 * ones, which stay, changed or not and in the order in which the answers came: what was stored last is the newest. Where
 * this parser finds nothing in a reading any more there is nothing to add.
 */
export async function reparse(
  database: Database,
  archives: Archives,
  adapter: Adapter,
  since: Date,
  store: boolean,
  tell: (change: ParseChange) => void,
): Promise<Reparsed> {
  let readings = 0;
  let changed = 0;
  let stored = 0;
  let after = "0";
  for (;;) {
    const some = await storedReadings(database, adapter.network, since, after, batch, archives);
    const additions: { reading: StoredReading; facts: readonly ParsedFact[] }[] = [];
    for (const reading of some) {
      const facts = parsed(adapter, reading);
      const changes = changesOf(reading, facts);
      changes.forEach(tell);
      if (changes.length > 0) changed += 1;
      if (reading.parser !== adapter.parser) additions.push({ reading, facts });
    }
    if (store) {
      await storeReparsed(database, adapter, additions);
      stored += additions.reduce((sum, { facts }) => sum + facts.length, 0);
    }
    readings += some.length;
    after = some.at(-1)?.id ?? after;
    if (some.length < batch) return { readings, changed, stored };
  }
}

function parsed(adapter: Adapter, { call, body }: StoredReading): readonly ParsedFact[] {
  try {
    return adapter.parse(call, body);
  } catch (error) {
    if (error instanceof NetworkError) return [];
    throw error;
  }
}

/** Returns how `facts` differ from what was read in the reading before. */
function changesOf(reading: StoredReading, facts: readonly ParsedFact[]): ParseChange[] {
  const before = new Map(reading.facts.map((fact) => [nameOf(fact), fact]));
  const now = new Map(facts.map((fact) => [nameOf(fact), fact]));
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((name) => {
    const [old, fresh] = [before.get(name), now.get(name)];
    const fact = fresh ?? old;
    if (fact === undefined || shownOf(old) === shownOf(fresh)) return [];
    const { metric, networkNodeId, day } = fact;
    const { id, call } = reading;
    return [{ reading: id, call, metric, networkNodeId, day, before: shownOf(old), now: shownOf(fresh) }];
  });
}

function nameOf({ metric, networkNodeId, day }: ParsedFact): string {
  return JSON.stringify([metric, networkNodeId, day]);
}

function shownOf(fact: ParsedFact | undefined): string | null {
  return fact === undefined ? null : (fact.text ?? String(fact.value));
}
