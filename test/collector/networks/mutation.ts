import fc from "fast-check";
import { digitsOf, parseRaw } from "./raw-json.ts";

/** A mutated answer: `body` as it comes, and what stands where the mutation struck; undefined where nothing does. */
export interface Mutation {
  readonly body: string;
  readonly what: string;
  readonly put: string | undefined;
}

type Path = readonly (string | number)[];

/** What a number, a word or a list may turn into. Each is the text that stands in the JSON. */
const replacements = [
  "null",
  "{}",
  "[]",
  '""',
  "true",
  '"0"',
  "0",
  "-1",
  "0.5",
  "-0",
  "1e400",
  "9007199254740993",
  `1${"0".repeat(38)}`,
  "9".repeat(38),
  "0.1234567890123456789",
  "1e3",
  "NaN",
  "Infinity",
  '"NaN"',
  '"Unterbrochen"',
  '"切断"',
  '"<b>Good</b>"',
  '"\\u0000"',
  `"${"x".repeat(3_000)}"`,
  '"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmVk"',
  '{"token":"planted-secret"}',
] as const;

const pages = [
  "",
  "<!doctype html><html><body>Sign in</body></html>",
  "<html><head><title>502 Bad Gateway</title></head></html>",
  "null",
  "[]",
  "{}",
  "0",
  '{"code":500,"data":null,"msg":"Interner Fehler"}',
  '{"error":{"status":429,"title":"Too many requests","detail":"slow down"}}',
] as const;

/** Returns how the answer `body`, which is JSON, may come damaged or changed. */
export function mutationsOf(body: string): fc.Arbitrary<Mutation> {
  const tree = parseRaw(body);
  const paths = pathsIn(tree);
  const cut = fc
    .integer({ min: 0, max: body.length - 1 })
    .map((length) => ({ body: body.slice(0, length), what: `cut after ${length}`, put: "" }));
  const other = fc.constantFrom(...pages).map((page) => ({ body: page, what: "another page", put: page }));
  const place = fc.constantFrom(...paths);
  const gone = place.map((path) => ({ body: without(tree, path), what: `without ${path.join(".")}`, put: undefined }));
  const whole = fc.oneof(
    fc.bigInt({ min: -5n, max: 10n ** 40n }).map(String),
    fc.jsonValue().map((v) => JSON.stringify(v)),
  );
  const put = fc.oneof(fc.constantFrom(...replacements), whole);
  const changed = fc.tuple(place, put).map(([path, text]) => ({
    body: replaced(tree, path, text),
    what: `${path.join(".")} is ${text.slice(0, 80)}`,
    put: text,
  }));
  return fc.oneof(
    { weight: 12, arbitrary: changed },
    { weight: 3, arbitrary: gone },
    { weight: 2, arbitrary: cut },
    { weight: 1, arbitrary: other },
  );
}

function pathsIn(value: unknown, at: Path = []): Path[] {
  if (digitsOf(value) !== null || typeof value !== "object" || value === null) return at.length === 0 ? [] : [at];
  const inner = Array.isArray(value)
    ? value.flatMap((item, index) => pathsIn(item, [...at, index]))
    : Object.entries(value).flatMap(([name, item]) => pathsIn(item, [...at, name]));
  return at.length === 0 ? inner : [at, ...inner];
}

const mark = "\u0001here\u0001";

function replaced(tree: unknown, path: Path, text: string): string {
  return JSON.stringify(withAt(tree, path, mark)).replace(JSON.stringify(mark), () => text);
}

function without(tree: unknown, path: Path): string {
  return JSON.stringify(withAt(tree, path, undefined));
}

function withAt(value: unknown, [head, ...rest]: Path, put: unknown): unknown {
  if (head === undefined) return put;
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => {
      if (index !== head) return [item];
      const made = withAt(item, rest, put);
      return made === undefined ? [] : [made];
    });
  }
  return Object.fromEntries(
    Object.entries(value as Record<string, unknown>).map(([name, item]) => [
      name,
      name === head ? withAt(item, rest, put) : item,
    ]),
  );
}
