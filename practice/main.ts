import { parseArgs } from "node:util";
import { z } from "zod";
import { BadInput, ExplainedError, problemsOf } from "../infra/problem.ts";
import { type ServiceOptions, startService } from "./service.ts";

const usage = `Usage: node practice/main.ts --directory <folder> [--speed 20] [--port N] [--host 127.0.0.1] [--seen-as 10.0.2.2]

Runs the practice network with its state in <folder> until SIGTERM or SIGINT.
  --speed   how many times as fast as real time the network's clock runs (1 to 1000); kept for the next start
  --port    the port to listen on; without it the last one is taken again, or another when that is not free
  --host    the address to listen on
  --seen-as an address under which machines elsewhere reach it; the extension may then use it too`;

const speedFix = "Give a number from 1 to 1000";
const portFix = "Give a whole number from 1 to 65535";

const Options = z.strictObject({
  directory: z.string("Give the folder of the practice network").min(1, "Give the folder of the practice network"),
  speed: z.coerce.number(speedFix).min(1, speedFix).max(1000, speedFix).optional(),
  port: z.coerce.number(portFix).int(portFix).min(1, portFix).max(65535, portFix).optional(),
  host: z.ipv4("Give an IPv4 address of this machine").optional(),
  "seen-as": z.ipv4("Give the IPv4 address under which other machines reach this one").optional(),
});

/** Returns the options that the words of a command line give. Throws `BadInput` with every mistake found. */
function optionsOf(words: readonly string[]): ServiceOptions {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    args: [...words],
    options: { directory: text, speed: text, port: text, host: text, "seen-as": text },
    strict: false,
    allowPositionals: true,
  });
  const given = { ...values, ...Object.fromEntries(positionals.map((word) => [word, true])) };
  const read = Options.safeParse(given);
  if (!read.success) {
    const problems = problemsOf(read.error, given, "", (_path, issue) =>
      issue.code === "unrecognized_keys" ? "Leave it out; --help lists the options." : undefined,
    );
    throw new BadInput(
      "The command line",
      problems.map(({ message, path, ...rest }) => ({ ...rest, path: `--${path}`, message: `--${message}` })),
    );
  }
  const { directory, speed, port, host, "seen-as": seenAs } = read.data;
  return {
    directory,
    ...(speed === undefined ? {} : { speed }),
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
    ...(seenAs === undefined ? {} : { seenAs }),
  };
}

async function main(words: readonly string[]): Promise<void> {
  if (words.includes("--help")) {
    console.log(usage);
    return;
  }
  const service = await startService(optionsOf(words));
  const { origin, speed } = service.info;
  console.log(`The practice network listens at ${origin}; its clock runs ${speed} times as fast as real time.`);
  const stop = (): void => {
    process.off("SIGTERM", stop).off("SIGINT", stop);
    service.stop().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.on("SIGTERM", stop).on("SIGINT", stop);
}

function fail(error: unknown): never {
  if (error instanceof BadInput) console.error(error.message);
  else if (error instanceof ExplainedError) console.error(`${error.message} ${error.fix}`);
  else console.error(error);
  process.exit(error instanceof BadInput ? 2 : 1);
}

main(process.argv.slice(2)).catch(fail);
