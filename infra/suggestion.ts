import { distance } from "fastest-levenshtein";

/** Returns the name of `known` that `name` was probably meant to be, or `undefined` where none is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const near = [...known]
    .map((candidate) => ({ candidate, apart: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, apart }) => apart <= Math.max(2, Math.floor(candidate.length / 3)))
    .toSorted((a, b) => a.apart - b.apart);
  return near[0]?.candidate;
}

/** Returns the instruction for a name that is not one of `known`: the nearest one, and all of them. */
export function chooseOf(what: string, name: string, known: Iterable<string>): string {
  const names = [...known].toSorted();
  if (names.length === 0) return `There is no ${what} to choose.`;
  const near = nearest(name, names);
  return `${near === undefined ? "Choose" : `Did you mean ${near}? Choose`} one of: ${names.join(", ")}.`;
}
