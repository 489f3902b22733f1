import { chmod, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { buildWhenStale, filesMatching } from "./engine/artefact.ts";
import { checkout } from "./engine/environment.ts";

/** The folder of everything that is compiled here. */
const target = join(checkout, "infra", "bin");

/** Finds the checkout's Node.js first: the one on PATH may be older than what the plugin is compiled for. */
const pluginScript = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
node="$here/../../../node_modules/.bin/node"
[ -x "$node" ] || node=node
exec "$node" "$here/plugin.cjs" "$@"
`;

/**
 * Compiles what the engine and the nodes run, into `infra/bin`: the program as CommonJS with a file for each provider
 * (so that only those of the config are loaded), the plugin, the language host, and the programs of a node. Does nothing
 * when the sources have not changed since. Returns whether it compiled. Throws the bundler's error where a source does
 * not compile; what was compiled before stays in place then.
 */
export async function build(): Promise<boolean> {
  return buildWhenStale(target, ["infra/**/*.ts", "infra/providers/*/*.json", "cloud-init/**/*.ts"], compile);
}

async function compile(out: string): Promise<void> {
  // Loaded here because it takes longer than finding that there is nothing to do.
  const { rolldown } = await import("rolldown");
  const bundle = async (
    input: Record<string, string>,
    dir: string,
    options: { external?: RegExp[]; minify?: boolean; target?: string; ending: "js" | "cjs" },
  ): Promise<void> => {
    const made = await rolldown({
      cwd: checkout,
      input,
      platform: "node",
      // It looks for native parts of its own that need not be there.
      external: [/^ssh2$/, ...(options.external ?? [])],
      transform: { target: options.target ?? "node20" },
    });
    await made.write({
      dir,
      format: "cjs",
      entryFileNames: `[name].${options.ending}`,
      chunkFileNames: `chunks/[name]-[hash].${options.ending}`,
      minify: options.minify ?? false,
      // A program whose one export is its default is a function that the SDK runs.
      exports: "auto",
    });
    await made.close();
  };
  const providers = filesMatching(["infra/providers/*/{facts,declare}.ts"]);
  const named = (files: readonly string[]): Record<string, string> =>
    Object.fromEntries(files.map((file) => [relative("infra", file).replace(/\.ts$/, ""), file]));
  const program = named(["infra/index.ts", ...providers]);
  const [supervisor] = filesMatching(["infra/providers/**/supervisor.ts"]);
  if (supervisor === undefined) throw new Error("no provider has a supervisor.ts");
  await Promise.all([
    bundle(program, out, { external: [/^@pulumi\//, /^@grpc\//], ending: "js" }),
    bundle(
      { plugin: "infra/plugin/main.ts", ...named(filesMatching(["infra/providers/*/resources.ts"])) },
      join(out, "plugin"),
      { ending: "cjs" },
    ),
    // The SSH library finds its optional binaries from its own folder.
    bundle({ "stand-in": "infra/stand-in/main.ts" }, join(out, "stand-in"), { external: [/^ssh2$/], ending: "cjs" }),
    bundle({ "language-host": "infra/engine/language-host.ts" }, join(out, "engine"), { ending: "cjs" }),
    bundle({ supervisor }, join(out, "node"), { ending: "cjs" }),
    // A node's own Node.js may be as old as its distribution's.
    bundle({ agent: "cloud-init/agent/main.ts" }, join(out, "node"), { ending: "cjs", minify: true, target: "node18" }),
  ]);
  await writeFile(join(out, "package.json"), `${JSON.stringify({ name: "gradientlab-program", type: "commonjs" })}\n`);
  const script = join(out, "plugin", "pulumi-resource-gradientlab");
  await writeFile(script, pluginScript);
  await chmod(script, 0o755);
}
