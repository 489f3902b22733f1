import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** A question, and whether its answer must not be seen. */
export interface Question {
  readonly ask: string;
  readonly secret: boolean;
}

/** Asks at the terminal, or reads a line for each question where standard input is none. Secret answers are not shown. */
export async function typedAnswers(questions: readonly Question[], signal: AbortSignal): Promise<readonly string[]> {
  let silent = false;
  const shown = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!silent) process.stderr.write(chunk);
      done();
    },
  });
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({ input: process.stdin, output: shown, terminal });
  const answers: string[] = [];
  try {
    const piped = lines[Symbol.asyncIterator]();
    for (const { ask, secret } of questions) {
      if (!terminal) {
        answers.push(String((await piped.next()).value ?? ""));
        continue;
      }
      process.stderr.write(`${ask}: `);
      silent = secret;
      answers.push(await lines.question("", { signal }));
      silent = false;
      if (secret) process.stderr.write("\n");
    }
    return answers;
  } finally {
    lines.close();
  }
}
