import { type SpawnOptions, spawn } from "node:child_process";

/** What a figure must reach: `ratio <= x` or `>= x` against its floor, or `value <= x` in its own unit. */
export type Target = `${"ratio" | "value"} ${"<=" | ">="} ${number}`;

/** One measured figure. `floor` is the best a plain program could do, measured in the same run; `ratio` is value / floor. */
export interface Figure {
  readonly bench: string;
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  readonly floor: number | null;
  readonly ratio: number | null;
  readonly n: number;
  readonly target: Target | null;
  readonly met: boolean | null;
}

/**
 * What a benchmark is given: `scale` 1 is the full count; `keep` a folder for what takes long to make, used again by the
 * next run that is given it; `say` shows progress.
 */
export interface BenchContext {
  readonly scale: number;
  readonly keep: string | null;
  readonly say: (text: string) => void;
}

/** A benchmark: yields its figures as it measures them. */
export type Bench = (context: BenchContext) => AsyncIterable<Figure>;

/** Returns a figure with its ratio and whether the target was met; values are rounded to four significant digits. */
export function figure(
  bench: string,
  name: string,
  measured: { value: number; unit: string; floor?: number; n: number; target?: Target },
): Figure {
  const floor = measured.floor ?? null;
  const ratio = floor === null ? null : measured.value / floor;
  const target = measured.target ?? null;
  let met: boolean | null = null;
  if (target !== null) {
    const [what, sense, limit] = target.split(" ");
    const reached = what === "ratio" ? ratio : measured.value;
    if (reached === null) throw new Error(`${bench} ${name}: a ratio target needs a floor`);
    met = sense === "<=" ? reached <= Number(limit) : reached >= Number(limit);
  }
  return {
    bench,
    figure: name,
    value: rounded(measured.value),
    unit: measured.unit,
    floor: floor === null ? null : rounded(floor),
    ratio: ratio === null ? null : rounded(ratio),
    n: measured.n,
    target,
    met,
  };
}

/** Returns the median of `values`; the mean of the middle two where their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 1 ? middle : middle - 1];
  if (upper === undefined || lower === undefined) throw new Error("the median of no values");
  return (upper + lower) / 2;
}

/**
 * Runs `a` and `b` in turn, `n` times each, after one unmeasured run of both, and returns all their results.
 * Taking turns lets both meet the same noise of a shared machine.
 */
export async function paired<A, B>(n: number, a: () => Promise<A>, b: () => Promise<B>): Promise<{ a: A[]; b: B[] }> {
  await a();
  await b();
  const results: { a: A[]; b: B[] } = { a: [], b: [] };
  for (let i = 0; i < n; i++) {
    results.a.push(await a());
    results.b.push(await b());
  }
  return results;
}

/** Returns the milliseconds that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Runs a program to its end and returns its wall time in milliseconds; throws with its output unless it exits with 0. */
export async function timedProcess(file: string, args: readonly string[], options: SpawnOptions): Promise<number> {
  const start = performance.now();
  const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) throw new Error(`${file} ${args.join(" ")} exited with ${code}:\n${output.slice(-4000)}`);
  return performance.now() - start;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
