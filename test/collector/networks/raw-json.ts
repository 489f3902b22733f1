/** A number of a piece of JSON, with the digits that stand there. */
interface RawNumber {
  readonly rawJSON: string;
}

// What TypeScript's library does not describe yet: the source text of a value, and a value that is written as it is.
const withSource = JSON.parse as (
  text: string,
  reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown;
const { rawJSON, isRawJSON } = JSON as unknown as {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** Returns what `text` holds, each number with its digits. Throws a `SyntaxError` for what is no JSON. */
export function parseRaw(text: string): unknown {
  return withSource(text, (_name, value, { source }) => (typeof value === "number" ? rawJSON(source ?? "") : value));
}

/** Returns the digits of a number that `parseRaw` returned, null for any other value. */
export function digitsOf(value: unknown): string | null {
  return isRawJSON(value) ? value.rawJSON : null;
}
