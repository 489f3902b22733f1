import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Adapter, type Answer, type ParsedFact, understand } from "../../../collector/networks/adapter.ts";
import { adapters } from "../../../collector/networks/adapters.ts";
import { NetworkError } from "../../../collector/networks/outcome.ts";
import { understandAnswer } from "../../../collector/networks/read.ts";
import type { Fixture } from "./fixture.ts";
import { fixtures as gradient } from "./gradient/fixtures.ts";
import { mutationsOf } from "./mutation.ts";
import { fixtures as mysterium } from "./mysterium/fixtures.ts";
import { fixtures as practice } from "./practice/fixtures.ts";
import { digitsOf, parseRaw } from "./raw-json.ts";
import { fixtures as ripeAtlas } from "./ripe-atlas/fixtures.ts";

/** What every adapter promises, on its own network's answers. */
const fixturesOf: Readonly<Record<string, readonly Fixture[]>> = {
  gradient,
  mysterium,
  practice,
  "ripe-atlas": ripeAtlas,
};
const payloads = Number(process.env.PAYLOADS ?? 2_000);

const answerOf = ({ call, body }: Fixture): Answer => ({
  call,
  body,
  startedAt: new Date(0),
  finishedAt: new Date(1),
  httpStatus: 200,
  failure: null,
});

/** What an answer says, by an adapter; the error's kind where it says nothing. */
function told(adapter: Adapter, fixture: Fixture): readonly ParsedFact[] | string {
  try {
    return adapter.parse(fixture.call, fixture.body);
  } catch (error) {
    if (error instanceof NetworkError) return error.outcome;
    throw error;
  }
}

/** What a fact says, whatever names it: a name such as a season's may stand in the answer too. */
const value = ({ metric, value: units, text }: ParsedFact): string =>
  JSON.stringify([metric.split(":")[0], units?.toString(), text]);

/** Every number, word and name that stands in a piece of JSON, as it is written; nothing where it is none. */
function writtenIn(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const found: string[] = [];
  const gather = (part: unknown): void => {
    const digits = digitsOf(part);
    if (digits !== null) found.push(digits);
    else if (Array.isArray(part)) part.forEach(gather);
    else if (typeof part === "object" && part !== null)
      for (const [name, inner] of Object.entries(part)) {
        found.push(name);
        gather(inner);
      }
    else found.push(String(part));
  };
  try {
    gather(parseRaw(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return found;
}

/** Returns the digits of a decimal, shifted by `scale`: worked out on the text, unlike the parser's own arithmetic. */
function shifted(written: string, scale: number): string {
  const [, whole = "", fraction = "", exponent = "0"] =
    /^([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(written) ?? [];
  if (whole === "") return "no number";
  const places = scale + Number(exponent);
  if (Math.abs(places) > 500) return "too far";
  const digits = `${"0".repeat(500)}${whole}${fraction}${"0".repeat(500)}`;
  const point = 500 + whole.length + places;
  if (/[1-9]/.test(digits.slice(point))) return "a fraction is left";
  return digits.slice(0, point).replace(/^0+(?=.)/, "");
}

describe.each(adapters.map((adapter) => ({ name: adapter.network, adapter })))("the adapter $name", ({ adapter }) => {
  const fixtures = fixturesOf[adapter.network] ?? [];

  it("has a name, a versioned parser, and sources that are asked once a name", () => {
    expect(adapter.network).toMatch(/^[a-z][a-z-]*$/);
    expect(adapter.parser).toMatch(new RegExp(`^${adapter.network}/[0-9]+$`));
    const names = adapter.sources.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(adapter.sources.filter(({ nodesCall }) => nodesCall !== null)).toHaveLength(1);
  });

  it("understands its network's documented answers, the same each time", () => {
    expect(fixtures.length).toBeGreaterThan(0);
    for (const fixture of fixtures) {
      const facts = told(adapter, fixture);
      expect(facts, fixture.call).toBeInstanceOf(Array);
      expect(told(adapter, fixture)).toEqual(facts);
    }
  });

  it("declares kind, unit and scale of every metric, and no metric that nobody declared", () => {
    for (const fixture of fixtures)
      for (const fact of adapter.parse(fixture.call, fixture.body)) {
        const metric = adapter.metricOf(fact.metric);
        expect(metric, fact.metric).toBeDefined();
        expect((fact.value === null) !== (fact.text === null), fact.metric).toBe(true);
        expect(metric?.kind === "text", fact.metric).toBe(fact.text !== null);
        expect(metric?.kind === "day", fact.metric).toBe(fact.day !== null || fact.metric.includes("-today"));
      }
    for (const name of ["", "constructor", "__proto__", "no-such-metric"])
      expect(adapter.metricOf(name)).toBeUndefined();
  });

  it("calls a word of the network that it never saw unknown", () => {
    for (const word of ["Hibernating", "constructor", "", "good"]) expect(adapter.classOf(word)).toBe("unknown");
  });

  it("refuses an account file with an unknown or a missing field", () => {
    const file = { schema: 1, network: adapter.network, account: "a", label: "l" };
    expect(adapter.accountFile.safeParse({ ...file, colour: "red" }).success).toBe(false);
    expect(adapter.accountFile.safeParse({ ...file, account: "" }).success).toBe(false);
  });

  it.each([
    ["HTML", "<!doctype html><html><body>Sign in</body></html>"],
    ["nothing", ""],
    ["text", "Too many requests"],
    ["null", "null"],
    ["NaN", "NaN"],
  ])("calls %s in place of any answer a shape it does not know", (_what, body) => {
    for (const { call } of fixtures) expect(told(adapter, { call, body }), call).toBe("shape");
  });

  it("calls an answer to a question that it does not know a shape", () => {
    expect(told(adapter, { call: "no/such/call", body: '{"code":200,"data":{},"msg":""}' })).toBe("shape");
  });

  it(`reads ${payloads} mutated answers exactly or not at all: no zero, no crash, no secret`, () => {
    const cases = fc.oneof(
      ...fixtures.map((fixture) => mutationsOf(fixture.body).map((mutation) => ({ fixture, mutation }))),
    );
    fc.assert(
      fc.property(cases, ({ fixture, mutation }) => {
        const original = new Set(adapter.parse(fixture.call, fixture.body).map(value));
        const session = { secrets: () => ["planted-secret"], read: async () => [] };
        const { outcome, facts, body } = understandAnswer(
          adapter,
          session,
          answerOf({ ...fixture, body: mutation.body }),
        );
        expect(`${body}${facts.map(({ text }) => text)}`).not.toMatch(/planted-secret|eyJhbGciOiJIUzI1NiJ9\./);
        if (outcome !== "ok") {
          expect(facts).toEqual([]);
          return;
        }
        const put = writtenIn(mutation.put);
        for (const fact of facts.filter((one) => !one.derived && !original.has(value(one)))) {
          const scale = adapter.metricOf(fact.metric)?.scale ?? 0;
          const wanted = fact.text ?? fact.value?.toString();
          const options = put.flatMap((written) =>
            fact.text === null ? [written, shifted(written, scale)] : [written, "[redacted]"],
          );
          expect(options, `${fixture.call}: ${mutation.what}: ${fact.metric}`).toContain(wanted);
        }
      }),
      { numRuns: payloads },
    );
  });

  it("says how each failure of the asking ended, without a value", () => {
    const [fixture] = fixtures;
    if (fixture === undefined) throw new Error("there is no fixture");
    const failure = new NetworkError("transient", "no answer");
    expect(understand(adapter, { ...answerOf(fixture), failure })).toEqual({
      outcome: "transient",
      reason: "no answer",
      facts: [],
    });
  });
});
