import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BrowserSearch, findBrowser } from "../../infra/browser.ts";
import { execute, temporaryFolder } from "./providers/local/process/fixture.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

/** A program that answers --version as a browser does. An interpreter of its own name makes it no launcher script. */
function program(path: string, version: string, before = ""): string {
  const file = join(folder.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${before}\necho "${version}"\n`);
  chmodSync(file, 0o755);
  return file;
}

const search = (overrides: Partial<BrowserSearch> = {}): Partial<BrowserSearch> => ({
  env: { PATH: join(folder.path, "bin"), HOME: folder.path },
  uid: 1000,
  osRelease: async () => "ID=fedora\n",
  install: async () => 1,
  packaged: [],
  sandboxRestricted: async () => false,
  ...overrides,
});

describe("the browser of this machine", () => {
  it("is real, runs, and is the binary itself rather than its launcher", async () => {
    const browser = await findBrowser();
    expect(browser.version).toMatch(/^\d+\.\d+/);
    expect((await execute("head", ["-c", "4", browser.path])).stdout).toBe("\x7fELF");
    expect(browser.policyFolder).toMatch(/^\/etc\/.*\/policies$/);
  });
});

describe("a browser is looked for", () => {
  it("first where GRADIENTLAB_BROWSER says, and nowhere else", async () => {
    const named = program("mine/chrome", "Google Chrome for Testing 149.0.1.2");
    program("bin/chromium", "Chromium 150.0.1.2");
    const env = { ...search().env, GRADIENTLAB_BROWSER: named };
    expect(await findBrowser(search({ env }))).toEqual({
      path: named,
      kind: "chrome-for-testing",
      version: "149.0.1.2",
      policyFolder: "/etc/opt/chrome_for_testing/policies",
      loadsExtensions: true,
    });
    const wrong = { ...env, GRADIENTLAB_BROWSER: "/nowhere/chrome" };
    await expect(findBrowser(search({ env: wrong }))).rejects.toMatchObject({ code: "bad-browser" });
    await expect(findBrowser(search({ env: wrong }))).rejects.toThrow('GRADIENTLAB_BROWSER is "/nowhere/chrome"');
  });

  it("then on PATH, Chrome before Chromium; branded Chrome from 137 on takes no extension by a switch", async () => {
    const chrome = program("bin/google-chrome", "Google Chrome 137.0.1.2 ");
    program("bin/chromium", "Chromium 150.0.1.2");
    expect(await findBrowser(search())).toMatchObject({
      path: chrome,
      kind: "chrome",
      loadsExtensions: false,
      policyFolder: "/etc/opt/chrome/policies",
    });
    program("bin/google-chrome", "Google Chrome 136.0.1.2");
    expect((await findBrowser(search())).loadsExtensions).toBe(true);
  });

  it("but not a snap, nor one that does not run", async () => {
    program(
      "bin/chromium-browser",
      "Chromium 150.0.1.2",
      'if ! [ -x /snap/bin/chromium ]; then echo "needs the snap"; fi',
    );
    program("bin/chromium", "Chromium 150.0.1.2", "exit 127");
    program("snap/bin/chrome", "Chromium 150.0.1.2");
    symlinkSync(join(folder.path, "snap", "bin", "chrome"), join(folder.path, "bin", "chrome"));
    await expect(findBrowser(search())).rejects.toMatchObject({ code: "no-browser" });
  });

  it("then among Playwright's downloads, the newest that runs", async () => {
    const cache = ".cache/ms-playwright";
    program(`${cache}/chromium-1300/chrome-linux64/chrome`, "broken", "exit 1");
    const older = program(`${cache}/chromium-1200/chrome-linux/chrome`, "Chromium 141.0.0.0");
    program(`${cache}/chromium-999/chrome-linux/chrome`, "Chromium 120.0.0.0");
    expect((await findBrowser(search())).path).toBe(older);
  });

  it("then installed by the package manager as root on Debian, its lists fetched only if they are missing", async () => {
    const ran: string[] = [];
    const said: string[] = [];
    const install = async (argv: readonly string[]): Promise<number> => {
      ran.push(argv.slice(3).join(" "));
      if (argv.includes("update")) return 0;
      if (ran.length === 1) return 100;
      program("bin/chromium", "Chromium 150.0.1.2");
      return 0;
    };
    const found = await findBrowser(
      search({
        uid: 0,
        osRelease: async () => 'PRETTY_NAME="x"\nID=debian\n',
        install,
        say: (line) => said.push(line),
      }),
    );
    expect(found.kind).toBe("chromium");
    const packages = "install -y --no-install-recommends chromium";
    expect(ran).toEqual([packages, "update", packages]);
    expect(said).toEqual(["No browser here yet: installing the package chromium"]);
  });

  it("then downloaded by Playwright, with what it depends on as root only, once for all who ask", async () => {
    for (const [uid, words] of [
      [0, "install --with-deps chromium"],
      [1000, "install chromium"],
    ] as const) {
      const ran: string[] = [];
      const install = async (argv: readonly string[]): Promise<number> => {
        ran.push(argv.slice(2).join(" "));
        program(".cache/ms-playwright/chromium-1/chrome-linux/chrome", "Chromium 150.0.1.2");
        return 0;
      };
      const wanted = search({ uid, osRelease: async () => "ID=ubuntu\nID_LIKE=debian\n", install });
      const all = await Promise.all([findBrowser(wanted), findBrowser(wanted), findBrowser(wanted)]);
      expect(new Set(all.map(({ path }) => path)).size).toBe(1);
      expect(ran).toEqual([words]);
      await folder.remove();
    }
  });

  it("as Google Chrome where AppArmor lets only known programs have a sandbox, else as Chromium after all", async () => {
    const ran: string[] = [];
    const install = async (argv: readonly string[]): Promise<number> => {
      ran.push(argv.slice(2).join(" "));
      if (argv.at(-1) === "chrome") return 1;
      program(".cache/ms-playwright/chromium-1/chrome-linux/chrome", "Chromium 150.0.1.2");
      return 0;
    };
    const sandboxRestricted = async () => true;
    await findBrowser(search({ uid: 0, osRelease: async () => "ID=ubuntu\n", install, sandboxRestricted }));
    expect(ran).toEqual(["install --with-deps chrome", "install --with-deps chromium"]);
  });

  it("else one sentence says what to install", async () => {
    await expect(findBrowser(search())).rejects.toMatchObject({
      code: "no-browser",
      fix: expect.stringMatching(/Install Google Chrome .*GRADIENTLAB_BROWSER/),
    });
    await expect(findBrowser(search({ osRelease: async () => "ID=debian\n" }))).rejects.toMatchObject({
      fix: expect.stringMatching(/apt-get install chromium/),
    });
  });
});
