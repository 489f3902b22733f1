#!/usr/bin/env node
// What `npx pulumi` runs in this checkout: the tool that npm's own pulumi finds, once the checkout's environment is
// loaded. Without it the tool would work with the user's own state and login, and that is not what was meant.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const checkout = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const require = createRequire(join(checkout, "infra", "package.json"));
const home = process.env.GRADIENTLAB_HOME ?? join(checkout, ".gradientlab");
const { version } = require("pulumi/package.json");
const binary = join(home, "pulumi-home", "versions", version, "bin", "pulumi");
const args = process.argv.slice(2);
const loaded =
  process.env.PULUMI_HOME === join(home, "pulumi-home") &&
  Boolean(process.env.PULUMI_BACKEND_URL) &&
  Boolean(process.env.PULUMI_CONFIG_PASSPHRASE_FILE);

/** The tool's words that run the program, which it is given compiled. */
const running = ["up", "update", "preview", "pre", "refresh", "destroy", "watch"];

/**
 * Compiles the program where its sources changed since, and returns the table of what the fleet costs, where the tool is
 * about to plan one that costs anything. By the checkout's own Node.js, because that of the machine may be too old to
 * read the sources.
 */
function prepare() {
  if (!args.some((word) => running.includes(word))) return "";
  const node = join(checkout, "node_modules", ".bin", "node");
  const before = pathToFileURL(join(checkout, "infra", "commands", "before-pulumi.ts")).href;
  const script = `import { before } from ${JSON.stringify(before)}; await before(${JSON.stringify({ args, binary })});`;
  const { status, error, stdout } = spawnSync(node, ["--input-type=module", "--eval", script], {
    stdio: ["inherit", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (status !== 0) refuse(`The program could not be compiled${error ? `: ${error.message}` : ", as said above"}.`, 1);
  return stdout;
}

/** @param {string} sentence @param {number} [code] */
function refuse(sentence, code = 2) {
  process.stderr.write(`${sentence}\n`);
  process.exit(code);
}

const envFile = relative(process.cwd(), join(home, "env"));
const load = envFile.startsWith("..") ? join(home, "env") : envFile;
if (!existsSync(binary))
  refuse(
    `The engine of this checkout is not in place yet: run npm start or npm run up once, then \`. ${load}\` in this shell.`,
  );
else if (!loaded)
  refuse(
    `The settings of this checkout's engine are not loaded in this shell: run \`. ${load}\` first, or use npm run pulumi -- <args>.`,
  );
else {
  const table = prepare();
  process.stdout.write(table);
  // A terminal's Ctrl-C reaches the tool by itself, and a second one would end it before its state is whole. Elsewhere it
  // gets a process group of its own, so that a signal comes to it through us alone, whoever else of our group got it.
  const terminal = process.stdin.isTTY;
  const child = spawn(binary, args, {
    stdio: "inherit",
    detached: !terminal,
    env: {
      ...process.env,
      PATH: [dirname(binary), dirname(process.execPath), process.env.PATH].filter(Boolean).join(delimiter),
      NODE_COMPILE_CACHE: join(home, "compile-cache"),
      ...(table === "" ? {} : { GRADIENTLAB_TABLE_SHOWN: "yes" }),
    },
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
    process.on(signal, () => {
      if (signal !== "SIGINT" || !terminal) child.kill(signal);
    });
  child.on("error", (error) => {
    process.stderr.write(`pulumi could not be started: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
