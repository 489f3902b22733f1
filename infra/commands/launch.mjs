// Starts a command of the project. Plain JavaScript that a Node.js as old as 12 can read, so that it can say what to do.
import { readFileSync } from "node:fs";

const [name, ...args] = process.argv.slice(2);
const [major, minor] = process.versions.node.split(".").map(Number);

/** @param {string} text @param {number} code */
function end(text, code) {
  process.stderr.write(`${text}\n`);
  process.exitCode = code;
}

/** Returns the commands there are: those that a script of the root package starts by this file. */
function commands() {
  /** @type {{ scripts: Record<string, string> }} */
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const found = Object.values(scripts).map((script) => /launch\.mjs (\S+)/.exec(script));
  return [...new Set(found.map((match) => (match === null ? "" : match[1])).filter(Boolean))].sort();
}

async function launch() {
  const known = commands();
  if (name === undefined || !known.includes(name)) {
    const asked = name === undefined ? "No command is named." : `There is no command "${name}".`;
    return end(`${asked} The commands are ${known.join(", ")}.`, name === "--help" ? 0 : 2);
  }
  const { main, usage, passesOn = false } = await import(`./${name}.ts`);
  const { ExplainedError } = await import("../problem.ts");
  // What comes behind the first word of a command that passes its words on is another program's.
  const own = passesOn ? args.slice(0, 1) : args;
  if (own.includes("--help") || own.includes("-h")) return void process.stdout.write(usage);
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (error instanceof ExplainedError && error.code === "bad-input") end(error.message, 2);
    else if (error instanceof ExplainedError) end(`${error.message} ${error.fix}`, 1);
    else if (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))
      end(`${error.message}\n${usage}`, 2);
    else throw error;
  }
}

if (major === undefined || major < 22 || (major === 22 && (minor === undefined || minor < 18)))
  end(
    `Node.js ${process.versions.node} runs this, and 22.18 or newer is needed: npm ci installs one for Linux on x64 and arm64, unless optional dependencies are left out. Run: npm ci --include=optional`,
    1,
  );
else
  launch().catch((error) => {
    end(error instanceof Error && error.stack !== undefined ? error.stack : String(error), 1);
  });
