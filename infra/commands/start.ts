import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { ensureHome } from "../engine/environment.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { type CollectorProcess, startCollector } from "./collector-process.ts";
import { readInventory } from "./deployed.ts";
import { prepare } from "./prepare.ts";
import { type Progress, progressOn } from "./progress.ts";
import { claimStart, notePort } from "./running.ts";
import { bringUp } from "./up.ts";

export const usage = `npm start -- [--port N]

Sets up what is missing, brings the stack "dev" up, runs the collector and serves its page until Ctrl-C. The nodes
keep running then; npm run down removes them.
  --port N   serve the page on this port (8080; 0 takes a free one)
`;

/** How long a collector may take to stop before it is killed, and how long one that died is left before the next try. */
const stopDeadlineMs = 10_000;
const restartAfterMs = 1000;

/** Runs the main job until it is told to stop. Returns 0. Throws `BadInput` for what a user can correct. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { port: { type: "string" } } });
  const wanted = portOf(values.port ?? process.env.PORT ?? "8080");
  const progress = progressOn(process.stderr);
  const place = await ensureHome();
  // Before the port is looked at: where another start of ours has it, that is the better answer.
  const release = claimStart(place.home, wanted);
  let collector: CollectorProcess | undefined;
  try {
    await refuseTakenPort(wanted);
    await prepare(progress, ["engine", "page", "browser"]);
    // From here on there is something to stop in order; before, Ctrl-C simply ends the command.
    const stop = stopSignal();
    collector = startCollector({ home: place.home, port: wanted, env: place.env });
    await bringUp(place, progress, "dev", { condition: Promise.race([collector.ready, refusalOnce(stop)]) });
    const url = await collector.ready;
    const port = Number(new URL(url).port);
    notePort(place.home, port);
    const nodes = (await readInventory(place.home)).nodes.filter((node) => node.power === "on").length;
    process.stdout.write(`\n${inWords(nodes)} ${nodes === 1 ? "node" : "nodes"} up, dashboard at ${url}\n`);
    if (nodes > 0) process.stdout.write("Ctrl-C stops the collector; the nodes keep running until npm run down.\n");
    collector = await keepRunning(collector, stop, progress, () =>
      startCollector({ home: place.home, port, env: place.env }),
    );
    await collector.stop(stopDeadlineMs);
    const left = (await readInventory(place.home)).nodes.length;
    process.stdout.write(
      left === 0
        ? "\nThe collector stopped. No node is left.\n"
        : `\nThe collector stopped. ${inWords(left)} ${left === 1 ? "node keeps" : "nodes keep"} running: npm run down removes ${left === 1 ? "it" : "them"}, npm start shows ${left === 1 ? "it" : "them"} again.\n`,
    );
    return 0;
  } finally {
    await collector?.stop(stopDeadlineMs);
    release();
  }
}

/** Waits until a stop is asked for; a collector that died meanwhile is started again. Returns the one that runs. */
async function keepRunning(
  first: CollectorProcess,
  stop: StopSignal,
  progress: Progress,
  again: () => CollectorProcess,
): Promise<CollectorProcess> {
  let collector = first;
  while (!stop.asked()) {
    const end = await Promise.race([stop.wait, collector.ended]);
    if (end === "stop") break;
    progress.note(`The collector ended (${end.signal ?? `exit code ${end.code}`}) and is started again.`);
    await Promise.race([stop.wait, new Promise((resolve) => setTimeout(resolve, restartAfterMs))]);
    if (stop.asked()) break;
    collector = again();
    const url = await collector.ready;
    progress.note(`The collector runs again at ${url}.`);
  }
  return collector;
}

interface StopSignal {
  readonly wait: Promise<"stop">;
  asked(): boolean;
}

/**
 * Turns SIGINT, SIGTERM and SIGHUP into one request to stop. A SIGINT more than a second after the first ends the process
 * at once; one Ctrl-C comes twice, from the terminal and handed on by npm.
 */
function stopSignal(): StopSignal {
  let askedAt: number | undefined;
  const wait = new Promise<"stop">((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => {
        if (askedAt !== undefined && signal === "SIGINT" && performance.now() - askedAt > 1000) process.exit(130);
        askedAt ??= performance.now();
        resolve("stop");
      });
  });
  return { wait, asked: () => askedAt !== undefined };
}

/** Rejects once a stop is asked for: what waits for this makes no node any more. */
async function refusalOnce(stop: StopSignal): Promise<never> {
  await stop.wait;
  throw new ExplainedError("interrupted", "npm start was told to stop before it made any node.", "Run it again.");
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535 || text.trim() === "")
    throw new BadInput("The command", [
      { path: "--port", value: text, message: `--port is "${text}".`, fix: "Give a whole number from 0 to 65535." },
    ]);
  return port;
}

/** Throws `BadInput` naming the option where something listens at the port already. 0 is for the collector to choose. */
async function refuseTakenPort(port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
    const why = code === "EACCES" ? "may be used by root only" : "is in use by another program";
    throw new BadInput("The command", [
      {
        path: "--port",
        value: String(port),
        message: `Port ${port} ${why}.`,
        fix: "Give another one: npm start -- --port 8081",
      },
    ]);
  }
  await new Promise((resolve) => server.close(resolve));
}

/** Returns a small number as a word, as one says it. */
function inWords(count: number): string {
  const words = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
  return words[count] ?? String(count);
}
