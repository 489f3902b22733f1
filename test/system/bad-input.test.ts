import { execFile } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Checkout, copyOfCheckout, untilNothingRuns } from "../harness/checkout.ts";
import { oldPostgres } from "./old-postgres.ts";

const root = process.getuid?.() === 0;
const fleet = "gradientlab:fleet.groups.local";

/** A mount namespace of the command's own, in which an ordinary user may mount too. */
const ownMounts = `unshare ${root ? "" : "-U --map-current-user --keep-caps "}--mount --propagation private`;

interface Ended {
  readonly code: number;
  /** All that it printed, npm's own remarks left out. */
  readonly output: string;
}

describe("bad input", () => {
  let checkout: Checkout;
  let stackFile: string;
  let good: string;

  /** Runs a shell command in the checkout with these variables over the environment. */
  const run = (command: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
    new Promise((resolve, reject) => {
      // Not bash, which reads ~/.bashrc when its input is a socket, as a child's is here: it may change PATH.
      const options = { cwd: checkout.folder, env: { ...checkout.env, ...env }, maxBuffer: 1e8 };
      execFile("sh", ["-c", command], options, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") return reject(error);
        const lines = (stdout + stderr).split("\n").filter((line) => !line.startsWith("npm warn"));
        resolve({ code: error === null ? 0 : Number(error.code), output: lines.join("\n") });
      });
    });
  const start = (env?: NodeJS.ProcessEnv, args = "--port 0"): Promise<Ended> => run(`npm start -- ${args}`, env);
  const pulumi = (args: string): Promise<Ended> =>
    run(`. .gradientlab/env && npx pulumi ${args}`, { PULUMI_OPTION_COLOR: "never" });

  /** Expects the command to have refused with exactly these lines as mistakes, and with no trace of a program's. */
  const expectRefusal = ({ code, output }: Ended, ...mistakes: readonly string[]): void => {
    const said = output.slice(Math.max(0, output.search(/^.* has \d+ mistakes?:$/m)));
    expect(said.trim().split("\n").slice(1)).toEqual(mistakes.map((mistake) => `  ${mistake}`));
    expect(output).not.toMatch(/Warning|^ +at /m);
    expect(code, output).toBe(2);
  };
  /** Returns the mistakes that the engine shows, and expects nothing beside them. */
  const mistakesOf = ({ code, output }: Ended): string[] => {
    expect(code, output).not.toBe(0);
    expect(output).not.toMatch(/Warning|^ +at /m);
    const shown = /^Diagnostics:\n.*:\n +error: The stack config has \d+ mistakes?:\n((?: +\S.*\n)+)/m.exec(
      output,
    )?.[1];
    return (shown ?? output).trim().split(/\n +/);
  };
  /** Expects that there is no resource that stands for something running, no node's folder and no process. */
  const expectNothingMade = async (): Promise<void> => {
    const state = join(checkout.home, "state", ".pulumi", "stacks", "gradientlab", "dev.json");
    expect(readFileSync(state, "utf8")).not.toMatch(/gradientlab:index:(?!InventoryFile)/);
    expect(readdirSync(join(checkout.home, "nodes"))).toEqual([]);
    expect(existsSync(join(checkout.home, "practice"))).toBe(false);
    await untilNothingRuns(checkout.folder);
  };

  beforeAll(async () => {
    checkout = await copyOfCheckout();
    stackFile = join(checkout.folder, "Pulumi.dev.yaml");
    // No node: a start that goes through by mistake is over soon.
    writeFileSync(stackFile, readFileSync(stackFile, "utf8").replace(/count: \d+/, "count: 0"));
    const { code, output } = await run("npm run --silent up");
    expect(code, output).toBe(0);
    good = readFileSync(stackFile, "utf8");
  });
  afterEach(() => writeFileSync(stackFile, good));
  afterAll(async () => checkout?.remove());

  describe("in the stack's config", () => {
    it.each([
      ["-- -1", "-1"],
      ["2.5", '"2.5"'],
      ["three", '"three"'],
      ["10000", "10000"],
    ])("count %s fails the preview in one sentence", async (value, shown) => {
      await pulumi(`config set --path ${fleet}.count ${value}`);
      expect(mistakesOf(await pulumi("preview --non-interactive"))).toEqual([
        `${fleet}.count is ${shown}. Write a whole number from 0 to 1000.`,
      ]);
    });

    it("a count that was mistyped is mended by the same command", async () => {
      await pulumi(`config set --path ${fleet}.count three`);
      await pulumi(`config set --path ${fleet}.count 0`);
      const { code, output } = await pulumi("preview --non-interactive");
      expect(code, output).toBe(0);
    });

    it("every mistake is named at once, by npm start, npm run up, preview and up, and no resource is touched", async () => {
      for (const [field, value] of [
        [`--path ${fleet}.colour`, "blue"],
        [`--path ${fleet}.provider`, "lokal"],
        [`--path ${fleet}.workload`, "sentri"],
        [`--path ${fleet}.network`, "practise"],
        [`--path '${fleet}.retired[0]'`, "1"],
        [`--path '${fleet}.retired[1]'`, "1"],
        ["gradientlab:count", "3"],
        ["gradientlab:groups", "3"],
      ] as const)
        await pulumi(`config set ${field} ${value}`);
      const mistakes = [
        "gradientlab:count is the short form of the config, and gradientlab:fleet is set too. Keep one of the two: run `npx pulumi config rm gradientlab:count`, or `npx pulumi config rm gradientlab:fleet`.",
        `${fleet}.colour is not a known field. Choose one of: count, label, maxUnavailable, network, options, provider, region, retired, revision, size, stopped, workload.`,
        `${fleet}.network is "practise", which is not a known network. Did you mean practice? Choose one of: gradient, practice.`,
        `${fleet}.provider is "lokal", which is not a known provider. Did you mean local? Choose one of: azure, gcp, local, oci.`,
        `${fleet}.retired.1 is 1, which stands there twice. Name the slot 1 once.`,
        `${fleet}.workload is "sentri", which is not a known workload. Did you mean sentry? Choose one of: sentry.`,
        "gradientlab:groups is not a known field. Did you mean gradientlab:count? Choose one of: gradientlab:count, gradientlab:fleet, gradientlab:provider, gradientlab:region, gradientlab:secret.",
      ];
      expect(mistakesOf(await pulumi("preview --non-interactive"))).toEqual(mistakes);
      expect(mistakesOf(await pulumi("up --yes --non-interactive"))).toEqual(mistakes);
      expectRefusal(await run("npm run --silent up"), ...mistakes);
      expectRefusal(await start(), ...mistakes);
      await expectNothingMade();
    });
  });

  describe("in the program's sources", () => {
    it("a bare preview compiles what was edited, and one that does not compile is named and runs nothing", async () => {
      const file = join(checkout.folder, "infra", "index.ts");
      const source = readFileSync(file, "utf8");
      try {
        writeFileSync(file, `${source}\nconst = 1;\n`);
        const broken = await pulumi("preview --non-interactive");
        expect(broken.output).toContain("infra/index.ts");
        expect(broken.output).toContain("The program could not be compiled, as said above.");
        expect(broken.output).not.toContain("Previewing");
        expect(broken.code).toBe(1);

        const saying = 'throw new pulumi.RunError("This is the edited program.");';
        writeFileSync(file, source.replace("  try {\n", `  ${saying}\n  try {\n`));
        const edited = await pulumi("preview --non-interactive");
        expect(edited.output).toContain("This is the edited program.");
      } finally {
        writeFileSync(file, source);
      }
      const { code, output } = await pulumi("preview --non-interactive");
      expect(code, output).toBe(0);
    });
  });

  describe("on the command line", () => {
    it("a port that is no number, or none, is named with its option", async () => {
      for (const port of ["http", "65536", "80.5"])
        expectRefusal(await start({}, `--port ${port}`), `--port is "${port}". Give a whole number from 0 to 65535.`);
    });

    it("a port in use is named with the option that changes it", async () => {
      const server: Server = createServer().listen(0, "127.0.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
      const { port } = server.address() as { port: number };
      const ended = await start({}, `--port ${port}`);
      await new Promise((resolve) => server.close(resolve));
      expectRefusal(ended, `Port ${port} is in use by another program. Give another one: npm start -- --port 8081`);
    });

    it("an unknown option is named, and how the command is used", async () => {
      for (const [name, option] of [
        ["start", "--prot"],
        ["up", "--stak"],
        ["down", "--all"],
      ] as const) {
        const { code, output } = await run(`npm run --silent ${name} -- ${option} 1`);
        expect(code, output).toBe(2);
        expect(output).toContain(`Unknown option '${option}'`);
        expect(output).toMatch(name === "start" ? /^npm start -- \[--port N\]$/m : /--stack <name>/);
      }
    });
  });

  describe("on the machine", () => {
    /** A folder of links to all programs on PATH but these. */
    const pathWithout = (name: string, hidden: RegExp): string => {
      const folder = join(checkout.home, "run", name);
      mkdirSync(folder);
      for (const from of [join(checkout.folder, "node_modules", ".bin"), ...(process.env.PATH ?? "").split(delimiter)])
        for (const program of existsSync(from) ? readdirSync(from) : [])
          if (!hidden.test(program) && !existsSync(join(folder, program)) && runs(join(from, program)))
            symlinkSync(join(from, program), join(folder, program));
      return folder;
    };
    const runs = (file: string): boolean => {
      try {
        accessSync(file, constants.X_OK);
        return statSync(file).isFile();
      } catch (error) {
        if (["ENOENT", "EACCES", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
        throw error;
      }
    };
    const refusing = "http://127.0.0.1:1";

    it("no browser, and none to be installed, is one sentence with the remedy", async () => {
      const hide = ["/usr/lib/chromium", "/usr/lib64/chromium-browser", "/opt/google/chrome"].filter(existsSync);
      const env = {
        PATH: pathWithout("no-browser", /^(google-)?chrom|^apt-get$/),
        PLAYWRIGHT_BROWSERS_PATH: join(checkout.home, "run", "no-downloads"),
        PLAYWRIGHT_DOWNLOAD_HOST: refusing,
        GRADIENTLAB_BROWSER: "",
      };
      const hiding = hide.map((folder) => `mount -t tmpfs none ${folder} && `).join("");
      const ended = await run(`exec ${ownMounts} sh -c '${hiding}exec npm start -- --port 0'`, env);
      expect(ended.output).toMatch(
        /^This machine has 1 mistake:\n {2}No Chrome or Chromium is to be found here, and none could be installed\. Install .*GRADIENTLAB_BROWSER/m,
      );
      expect(ended.code).toBe(2);
    });

    it("a named browser that is none is refused by name", async () => {
      expectRefusal(
        await start({ GRADIENTLAB_BROWSER: "/bin/true" }),
        'GRADIENTLAB_BROWSER is "/bin/true", which is no Chrome or Chromium that runs here. Let it name the binary of one, or unset it.',
      );
    });

    it("no Go and no download is one sentence with both remedies", async () => {
      const env = {
        PATH: pathWithout("no-go", /^go$/),
        GRADIENTLAB_HOME: join(checkout.home, "run", "no-engine"),
        XDG_CACHE_HOME: join(checkout.home, "run", "no-cache"),
        HTTPS_PROXY: refusing,
        https_proxy: refusing,
        NO_PROXY: "",
        no_proxy: "",
      };
      const sentence =
        "The Pulumi command line tool cannot be downloaded here, and Go, which could build it, is not on PATH (1.25 or newer is needed). Connect to the internet, or install Go 1.25 or newer from https://go.dev/dl and put its bin folder on PATH.";
      expectRefusal(await start(env), sentence);
      expectRefusal(await run("npm run --silent up", env), sentence);
    });

    it("a full disk below the evidence is named with what to free", async () => {
      const data = join(checkout.home, "data");
      mkdirSync(data, { recursive: true, mode: 0o700 });
      const mount = `mount -t tmpfs -o size=20m,mode=700 none ${data}`;
      const ended = await run(`exec ${ownMounts} sh -c '${mount} && exec npm start -- --port 0'`);
      expectRefusal(
        ended,
        `DATA_DIR is on a disk that is full (19 MiB free): ${join(data, "postgres")}. Free at least 200 MiB there, or keep the data on another disk: set DATA_DIR, or GRADIENTLAB_HOME for npm start.`,
      );
    });
  });

  describe("in the database", () => {
    it("a server that is not there is named, without a password, and no node is made", async () => {
      writeFileSync(stackFile, good.replace("count: 0", "count: 1"));
      const ended = await start({ DATABASE_URL: "postgresql://reader:hidden-word@127.0.0.1:1/evidence" });
      expectRefusal(
        ended,
        "DATABASE_URL names 127.0.0.1:1/evidence, which cannot be reached: connect ECONNREFUSED 127.0.0.1:1. Start that server, correct DATABASE_URL, or unset it to use the embedded PostgreSQL.",
      );
      expect(ended.output).not.toContain("hidden-word");
      await expectNothingMade();
    });

    it("a server that is too old is named with its version", async () => {
      const server = await oldPostgres(150_004);
      const ended = await start({ DATABASE_URL: server.url });
      server.close();
      const place = server.url.split("@")[1];
      expectRefusal(
        ended,
        `DATABASE_URL names ${place}, a PostgreSQL 15, and version 16 or newer is needed. Upgrade that server to 16 or newer, or unset DATABASE_URL to use the embedded PostgreSQL.`,
      );
    });

    it("a URL that is none is refused without being shown", async () => {
      expectRefusal(
        await start({ DATABASE_URL: "mysql://reader:hidden-word@here/evidence" }),
        "DATABASE_URL is not a PostgreSQL URL. Give a URL like postgresql://user@host:5432/database, with user:password where there is one.",
      );
    });
  });

  it("a second npm start is told of the first, which started as if nothing had been wrong before", async () => {
    await expectNothingMade();
    const first = checkout.start("--port", "0");
    const url = await first.url;
    expectRefusal(
      await start(),
      `npm start already runs for this checkout as process ${startProcess()}, with its page at ${url}. Use that page, or stop that process with Ctrl-C first.`,
    );
    await first.interrupt();
    expect(first.output()).toContain("The collector stopped. No node is left.");
  });

  const startProcess = (): number =>
    (JSON.parse(readFileSync(join(checkout.home, "run", "start.json"), "utf8")) as { pid: number }).pid;
});
