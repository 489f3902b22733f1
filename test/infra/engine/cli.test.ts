import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { build } from "../../../infra/build.ts";

import { type CliPlace, cliBinary, type Download, ensureCli, goNeeded } from "../../../infra/engine/cli.ts";
import { checkout, cliVersion, ensureHome } from "../../../infra/engine/environment.ts";

let folder: string;
let place: CliPlace;
let said: string[];
const say = (text: string): unknown => said.push(text);
const refused: Download = async () => "fetch failed";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "gl-cli-"));
  said = [];
  place = await placeWith(onlyBaseTools());
}, 120_000);
afterEach(() => rmSync(folder, { recursive: true }));

describe("the pinned version", () => {
  it("is the same in npm's package, in the Go module and in our sources", () => {
    expect(createRequire(join(checkout, "infra", "package.json"))("pulumi/package.json").version).toBe(cliVersion);
    const module = readFileSync(join(checkout, "infra", "engine", "cli", "go.mod"), "utf8");
    for (const part of ["pkg", "sdk"]) expect(module).toContain(`github.com/pulumi/pulumi/${part}/v3 v${cliVersion}`);
  });
});

describe("where the download is refused", () => {
  it("names both remedies, with the command, where there is no Go", async () => {
    await expect(ensureCli(place, say, build(), refused)).rejects.toMatchObject({
      code: "no-engine",
      message: expect.stringMatching(/could not be downloaded \(fetch failed\), and Go, .* is not on PATH/),
      fix: expect.stringMatching(/^Connect to the internet, or install Go: curl .*go1\.25.* PATH=/),
    });
  });

  it("is not content with Go before 1.25, nor with one that may not fetch the version the module asks for", async () => {
    writeGo('version) echo "go version go1.24.6 linux/amd64" ;;');
    await expect(ensureCli(place, say, build(), refused)).rejects.toThrow("is 1.24.6, older than 1.25");
    writeGo('version) echo "go version go1.25.0 linux/amd64" ;;\nenv) echo local ;;');
    await expect(ensureCli(place, say, build(), refused)).rejects.toThrow("GOTOOLCHAIN=local");
  });

  it("builds once for two checkouts at once, whole, tells the progress, and removes what only the build needed", async () => {
    writeGo(buildingGo(2));
    const other = await placeWith(place.env.PATH ?? "", "second");
    const results = await Promise.all([
      ensureCli(place, say, build(), refused),
      ensureCli({ ...other, cache: place.cache }, say, build(), refused),
    ]);
    expect(results).toEqual(Array(2).fill(`Pulumi ${cliVersion}, built by Go`));
    expect(readFileSync(join(folder, "built.log"), "utf8").split("\n").filter(Boolean)).toHaveLength(1);
    expect(said.join("\n")).toMatch(/fetching its modules/);
    expect(said).toContain("another process is fetching or building it");
    expect(readdirSync(place.cache).filter((name) => /work|\.\d+$/.test(name))).toEqual([]);
    // One engine for both, with the language host of this checkout beside it.
    const real = realpathSync(cliBinary(place.env));
    expect(realpathSync(cliBinary(other.env))).toBe(real);
    expect(readdirSync(dirname(real)).toSorted()).toEqual(["language-host.cjs", "pulumi", "pulumi-language-nodejs"]);
    expect(readFileSync(join(place.env.GRADIENTLAB_HOME ?? "", "env"), "utf8")).toContain(
      "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
    );
  });

  it("builds for this machine, by the user's own Go settings, in caches of its own", async () => {
    writeGo(buildingGo(0));
    place = { ...place, env: { ...place.env, GOFLAGS: "-p=1", GOPROXY: "https://proxy.example", GOOS: "windows" } };
    await ensureCli(place, say, build(), refused);
    const seen = readFileSync(join(folder, "built.log"), "utf8");
    expect(seen).toContain("GOFLAGS=-p=1 GOPROXY=https://proxy.example GOOS=linux");
    expect(seen).toMatch(/GOCACHE=\S+gradientlab\S+ GOMODCACHE=\S+gradientlab\S+/);
  });

  it("says what Go said where the build fails, keeps what it fetched, and leaves no half engine", async () => {
    writeGo('version) echo "go version go1.26.0 linux/amd64" ;;\nbuild) echo "go: no route to proxy" >&2; exit 1 ;;');
    await expect(ensureCli(place, say, build(), refused)).rejects.toMatchObject({
      code: "engine-build",
      message: expect.stringContaining("go: no route to proxy"),
    });
    expect(existsSync(cliBinary(place.env))).toBe(false);
    expect(readdirSync(place.cache).some((name) => name.endsWith(".work"))).toBe(true);

    writeGo(buildingGo(0));
    await ensureCli(place, say, build(), refused);
    expect(spawnSync(cliBinary(place.env), ["version"], { encoding: "utf8" }).stdout).toContain(cliVersion);
  });

  it("takes the engine from the cache without Go, and puts it back in place where its folder is gone", async () => {
    writeGo(buildingGo(0));
    await ensureCli(place, say, build(), refused);
    rmSync(dirname(dirname(cliBinary(place.env))), { recursive: true });
    writeGo("*) exit 9 ;;");
    expect(await goNeeded(place)).toBe(false);
    await ensureCli(place, say, build(), refused);
    expect(existsSync(cliBinary(place.env))).toBe(true);
  });

  it("takes the place of a download that was interrupted", async () => {
    mkdirSync(dirname(cliBinary(place.env)), { recursive: true });
    writeFileSync(join(dirname(cliBinary(place.env)), "pulumi-language-go"), "half");
    writeGo(buildingGo(0));
    await ensureCli(place, say, build(), refused);
    expect(lstatSync(dirname(cliBinary(place.env))).isSymbolicLink()).toBe(true);
  });

  it("knows that Go is needed, by asking for the download through the proxy of the environment", async () => {
    place = { ...place, env: { ...place.env, HTTPS_PROXY: "http://127.0.0.1:9", https_proxy: "http://127.0.0.1:9" } };
    expect(await goNeeded(place)).toBe(true);
  });

  it("fails at once by npm's own download, and then says so", async () => {
    place = { ...place, env: { ...place.env, HTTPS_PROXY: "http://127.0.0.1:9", https_proxy: "http://127.0.0.1:9" } };
    await expect(ensureCli(place, say, build())).rejects.toThrow(/could not be downloaded \(pulumi: fetch failed\)/);
    expect(said).toContain(`downloading Pulumi ${cliVersion}`);
  });
});

describe("where the download works", () => {
  /** What the official archive holds, as far as it is looked at. */
  const download: Download = async (env) => {
    mkdirSync(dirname(cliBinary(env)), { recursive: true });
    for (const name of ["pulumi", "pulumi-language-go", "pulumi-language-nodejs"])
      writeFileSync(join(dirname(cliBinary(env)), name), `#!/bin/sh\necho v${cliVersion}\n`, { mode: 0o755 });
    return undefined;
  };

  it("uses it as it is, with its own language host, and does not ask again", async () => {
    expect(await ensureCli(place, say, build(), download)).toBe(`Pulumi ${cliVersion}, downloaded`);
    expect(await ensureCli(place, say, build(), refused)).toBe(`Pulumi ${cliVersion}`);
    expect(await goNeeded(place)).toBe(false);
    expect(readFileSync(join(dirname(cliBinary(place.env)), "pulumi-language-nodejs"), "utf8")).toContain("echo");
    expect(readFileSync(join(place.env.GRADIENTLAB_HOME ?? "", "env"), "utf8")).not.toContain("DISABLE_AUTOMATIC");
  });
});

async function placeWith(path: string, name = "first"): Promise<CliPlace> {
  const { env } = await ensureHome({ PATH: path, HOME: folder, GRADIENTLAB_HOME: join(folder, name) });
  return { env, cache: join(folder, "cache", "gradientlab") };
}

/** Returns a PATH with the machine's base tools and an empty folder for a Go of the test, but no Go of the machine. */
function onlyBaseTools(): string {
  mkdirSync(join(folder, "tools"));
  return [join(folder, "tools"), "/usr/bin", "/bin"].join(delimiter);
}

/** Puts a stand-in for Go on PATH: the branches of a shell's case over its first argument. */
function writeGo(branches: string): void {
  const file = join(folder, "tools", "go");
  writeFileSync(file, `#!/bin/sh\ncase "$1" in\n${branches}\nesac\n`);
  chmodSync(file, 0o755);
}

/** Branches of a Go that takes `seconds` to build what only knows its version, and notes how it was called. */
function buildingGo(seconds: number): string {
  return `version) echo "go version go1.26.0 linux/amd64" ;;
build)
  while [ "$1" != -o ]; do shift; done
  echo "go: downloading example.com/module v1" >&2
  sleep ${seconds}
  echo example.com/module/package >&2
  printf '#!/bin/sh\\necho v${cliVersion}\\n' > "$2"
  chmod +x "$2"
  mkdir -p "$GOCACHE" "$GOMODCACHE"
  echo "GOFLAGS=$GOFLAGS GOPROXY=$GOPROXY GOOS=$GOOS GOCACHE=$GOCACHE GOMODCACHE=$GOMODCACHE" >> ${join(folder, "built.log")} ;;`;
}
