/** Where progress goes: standard error of a terminal, a file, or a test's own sink. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Says what a step is doing just now. */
export type Say = (text: string) => void;

/** Steps that may run side by side, each shown with its state and the seconds it took. */
export interface Progress {
  /** Runs `work` as the step `name` and returns its result; a failure is shown and thrown on. */
  step<T>(name: string, work: (say: Say) => Promise<T>): Promise<T>;
  /** Writes a line of its own above the steps that are under way. */
  note(text: string): void;
}

interface Row {
  readonly name: string;
  readonly since: number;
  text: string;
}

/** How often the running steps are shown: redrawn on a terminal, written as lines elsewhere. */
const redrawMs = 250;
const lineMs = 5000;

/**
 * Returns progress on `stream`. On a terminal the running steps are a block that is redrawn in place; elsewhere each is
 * a line every five seconds, so that a log of it can be read. `now` is a clock in milliseconds.
 */
export function progressOn(stream: ProgressStream, now: () => number = () => performance.now()): Progress {
  const rows = new Set<Row>();
  let drawn = 0;
  let timer: NodeJS.Timeout | undefined;

  const elapsed = (row: Row): string => `${Math.round((now() - row.since) / 1000)} s`;
  const erase = (): void => {
    if (drawn > 0) stream.write(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = (): void => {
    erase();
    for (const row of rows) stream.write(`  … ${row.name}: ${row.text} (${elapsed(row)})\n`);
    if (stream.isTTY) drawn = rows.size;
  };
  const line = (text: string): void => {
    erase();
    stream.write(`${text}\n`);
    if (stream.isTTY) draw();
  };
  const watch = (): void => {
    if (stream.isTTY) draw();
    if (rows.size > 0) timer ??= setInterval(draw, stream.isTTY ? redrawMs : lineMs);
    else {
      clearInterval(timer);
      timer = undefined;
    }
  };

  return {
    note: line,
    async step(name, work) {
      const row: Row = { name, since: now(), text: "working" };
      rows.add(row);
      watch();
      try {
        const result = await work((text) => {
          row.text = text;
        });
        rows.delete(row);
        line(`  ✓ ${name}: ${row.text === "working" ? "done" : row.text} (${elapsed(row)})`);
        return result;
      } catch (error) {
        rows.delete(row);
        line(`  ✗ ${name} (${elapsed(row)})`);
        throw error;
      } finally {
        watch();
      }
    },
  };
}
