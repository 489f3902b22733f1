import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureCli } from "../../infra/engine/cli.ts";
import { cacheFolder, checkout, ensureHome, type Home } from "../../infra/engine/environment.ts";
import { runPulumi } from "../../infra/engine/stack.ts";
import { makeProject } from "../harness/project.ts";
import { onClouds } from "./engine/clouds.ts";
import { type BenchContext, type Figure, figure, median, timed } from "./figure.ts";

/**
 * The real engine with our program and plugin: an unchanged preview of three nodes, and an `up` from three to four. The
 * floor is the same engine with a bare program of as many component resources, which needs no plugin and makes nothing.
 * Then machines on stand-in clouds.
 */
export async function* bench(context: BenchContext): AsyncIterable<Figure> {
  yield* ofNodes(context);
  yield* onClouds(context);
}

async function* ofNodes({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const n = Math.max(2, Math.round(10 * scale));
  const project = await makeProject();
  const plain = await makePlain();
  const previews: { ours: number[]; floor: number[] } = { ours: [], floor: [] };
  const ups: { ours: number[]; floor: number[] } = { ours: [], floor: [] };
  const nodes = (count: number): void => project.configure({ bench: { count } });
  try {
    nodes(3);
    await project.up();
    await plain.up(9);
    for (let i = 0; i < n; i++) {
      say(`run ${i + 1} of ${n}`);
      previews.ours.push(await timed(() => project.preview()));
      previews.floor.push(await timed(() => plain.preview(9)));
      nodes(4);
      ups.ours.push(await timed(() => project.up()));
      ups.floor.push(await timed(() => plain.up(11)));
      nodes(3);
      await project.up();
      await plain.up(9);
    }
  } finally {
    await plain.remove();
    await project.remove();
  }
  for (const [name, { ours, floor }] of [
    ["unchanged preview, 3 nodes", previews],
    ["up from 3 to 4 nodes", ups],
  ] as const)
    yield figure("engine", name, { value: median(ours) / 1000, floor: median(floor) / 1000, unit: "s", n });
}

/** A stack of a bare program that declares so many component resources. */
interface Plain {
  preview(count: number): Promise<void>;
  up(count: number): Promise<void>;
  remove(): Promise<void>;
}

async function makePlain(): Promise<Plain> {
  const folder = mkdtempSync(join(tmpdir(), "gl-bench-"));
  mkdirSync(join(folder, "program"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: plain\nmain: program/index.js\nruntime: nodejs\n");
  writeFileSync(join(folder, "program", "package.json"), '{"name":"plain","type":"commonjs"}');
  const sdk = JSON.stringify(join(checkout, "node_modules", "@pulumi", "pulumi"));
  writeFileSync(
    join(folder, "program", "index.js"),
    `const { ComponentResource } = require(${sdk});
for (let i = 0; i < Number(process.env.COUNT); i++) new ComponentResource("bench:plain:Part", "part-" + i);`,
  );
  mkdirSync(join(folder, "node_modules", "@pulumi"), { recursive: true });
  symlinkSync(join(checkout, "node_modules", "@pulumi", "pulumi"), join(folder, "node_modules", "@pulumi", "pulumi"));
  // The engine is the one that the project made ready; only the state is another.
  const place = await ensureHome({ ...process.env, GRADIENTLAB_HOME: join(folder, "home") });
  await ensureCli({ env: place.env, cache: cacheFolder() }, () => undefined, Promise.resolve());
  await runPulumi(place, ["stack", "init", "dev"], { folder });
  const run = async (count: number, ...args: string[]): Promise<void> => {
    const home: Home = { ...place, env: { ...place.env, COUNT: String(count) } };
    const { code, output } = await runPulumi(home, [...args, "--stack", "dev", "--color", "never"], { folder });
    if (code !== 0) throw new Error(output);
  };
  return {
    preview: (count) => run(count, "preview", "--json"),
    up: (count) => run(count, "up", "--yes", "--skip-preview", "--json"),
    async remove() {
      rmSync(folder, { recursive: true });
    },
  };
}
