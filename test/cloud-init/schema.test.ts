import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collectorHostDocument } from "../../cloud-init/collector-host.ts";
import {
  asUserData,
  checkedDocument,
  encodeUserData,
  type MachineArch,
  type MachineOs,
  nodeDocument,
} from "../../cloud-init/document.ts";
import { build } from "../../infra/build.ts";
import { agentFile, collectorUnitFile } from "../../infra/home.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { ensureImage } from "../../infra/providers/local/machine/image.ts";
import { machineSpec } from "./machine-spec.ts";

/** What `cloud-init schema` needs of the image: Python, its modules and, of the libraries, those that it loads. */
const arm = process.arch === "arm64";
const loader = arm ? "/usr/lib/ld-linux-aarch64.so.1" : "/usr/lib64";
const needed = ["/usr/bin", "/usr/lib/python3", "/usr/lib/python3.11", "/etc/cloud", loader];
const libraries = `/usr/lib/${arm ? "aarch64" : "x86_64"}-linux-gnu`;
const loaded = /^(ld-linux|lib(bz2|c|crypto|dl|expat|ffi|lzma|m|pthread|rt|ssl|util|uuid|yaml|z)[.-])/;

/** The image is built by whoever may; elsewhere that takes no time. */
const imageMs = 40 * 60_000;

describe("cloud-init itself, as it is in the image that machines boot from", () => {
  let lacking: string | null = null;
  let root: string;

  beforeAll(async () => {
    if (process.getuid?.() !== 0) {
      lacking = "only root can look into the image and run what is in it";
      return;
    }
    try {
      const { disk } = await ensureImage();
      root = mkdtempSync(join(tmpdir(), "gl-image-"));
      const debugfs = (commands: readonly string[]): string =>
        execFileSync("debugfs", ["-f", "-", disk], { input: commands.join("\n"), encoding: "utf8" });
      // One line of a listing is /inode/mode/user/group/name/size/.
      const names = debugfs([`ls -p ${libraries}`])
        .split("\n")
        .flatMap((line) => line.split("/")[5] ?? []);
      const paths = [...needed, ...names.filter((name) => loaded.test(name)).map((name) => `${libraries}/${name}`)];
      for (const path of [...paths, "/tmp/-"]) mkdirSync(join(root, dirname(path)), { recursive: true });
      debugfs(paths.map((path) => `rdump ${path} ${join(root, dirname(path))}`));
      for (const name of ["bin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name));
      await build();
    } catch (error) {
      if (!(error instanceof ExplainedError)) throw error;
      lacking = `${error.message} ${error.fix}`;
    }
  }, imageMs);
  beforeEach(({ skip }) => skip(lacking !== null, lacking ?? ""));
  afterAll(() => {
    if (root !== undefined) rmSync(root, { recursive: true });
  });

  const judged = (text: string): { readonly status: number | null; readonly said: string } => {
    writeFileSync(join(root, "document"), text);
    const words = [root, "/usr/bin/cloud-init", "schema", "--config-file", "/document"];
    const { status, stdout, stderr } = spawnSync("chroot", words, {
      encoding: "utf8",
      env: { PATH: "/usr/sbin:/usr/bin" },
    });
    return { status, said: `${stdout}${stderr}` };
  };
  const documents = function* (): Iterable<readonly [name: string, text: string]> {
    const agent = readFileSync(agentFile(join(import.meta.dirname, "..", "..")), "utf8");
    for (const os of ["ubuntu-24.04", "debian-12"] satisfies MachineOs[])
      for (const arch of ["x64", "arm64"] satisfies MachineArch[])
        yield [`${os} on ${arch}`, asUserData(nodeDocument({ ...machineSpec, os, arch, agent }))];
    const { operator } = machineSpec.keys;
    const unit = readFileSync(collectorUnitFile(join(import.meta.dirname, "..", "..")), "utf8");
    for (const os of ["ubuntu-24.04", "debian-12"] satisfies MachineOs[]) {
      const host = { hostname: "gl-collector", os, arch: "x64", diskGib: 50, operatorKeys: operator, unit } as const;
      yield [`the collector's machine on ${os}`, asUserData(collectorHostDocument(host))];
    }
  };

  it("takes every document that is rendered, of every operating system and architecture", () => {
    for (const [name, text] of documents())
      expect({ name, ...judged(text) }).toEqual({ name, status: 0, said: "Valid cloud-config: /document\n" });
  });

  it("unpacks user data as it was before it was packed in parts", () => {
    const unpack = `import sys
from cloudinit.util import decomp_gzip
sys.stdout.write(decomp_gzip(sys.stdin.buffer.read(), quiet=False))`;
    for (const [name, text] of documents()) {
      const { status, stdout, stderr } = spawnSync("chroot", [root, "/usr/bin/python3", "-c", unpack], {
        input: Buffer.from(encodeUserData(text, "gzip-base64"), "base64"),
        encoding: "utf8",
        env: { PATH: "/usr/sbin:/usr/bin", PYTHONIOENCODING: "utf-8" },
      });
      expect({ name, status, stderr, same: stdout === text }).toEqual({ name, status: 0, stderr: "", same: true });
    }
  });

  it.each([
    ["a type that is another", { package_update: "yes" }],
    ["a file without a path", { write_files: [{ content: "a\n", permissions: "0644" }] }],
    ["an unknown word in a file", { write_files: [{ path: "/a", permissions: "0644", content: "a\n", mode: "0644" }] }],
    ["a command of numbers", { runcmd: [[1.5]] }],
    ["no packages", { packages: [] }],
  ])("refuses a document with %s, and so do we before a machine sees it", (_name, change) => {
    const broken = { ...nodeDocument(machineSpec), ...change };
    const { said } = judged(`#cloud-config\n${JSON.stringify(broken)}\n`);
    expect(said).toMatch(/Invalid|errors/);
    expect(() => checkedDocument(broken)).toThrow();
  });
});
