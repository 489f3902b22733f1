import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type CollectorHostSpec, collectorHostDocument } from "../../cloud-init/collector-host.ts";
import { collectorUnitFile } from "../../infra/home.ts";
import { BadInput } from "../../infra/problem.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmSfnE5mQ1Fq0a3SxcVZ2yJb1tq8mB4sJ4bYg1c0QxQ someone";
const unit = readFileSync(collectorUnitFile(join(import.meta.dirname, "..", "..")), "utf8");
const spec: CollectorHostSpec = {
  hostname: "gl-collector",
  os: "debian-12",
  arch: "x64",
  diskGib: 50,
  operatorKeys: [key, key],
  unit,
};
const contentOf = (document: ReturnType<typeof collectorHostDocument>, path: string): string =>
  document.write_files.find((each) => each.path === path)?.content ?? "";

it("the collector's machine lets the operator in by key alone, and forwards ports and nothing else", () => {
  const document = collectorHostDocument(spec);
  expect(contentOf(document, "/etc/ssh/gradientlab/gl-operator")).toBe(`${key}\n${key}\n`);
  const server = contentOf(document, "/etc/ssh/sshd_config.d/00-gradientlab.conf");
  for (const line of ["AllowUsers gl-operator gl-install", "PasswordAuthentication no", "AllowTcpForwarding local"])
    expect(server).toContain(`${line}\n`);
});

it("gives what is carried there one way in, which runs the installer as root and nothing else", () => {
  const document = collectorHostDocument(spec);
  expect(contentOf(document, "/etc/ssh/gradientlab/gl-install")).toBe(`restrict ${key}\nrestrict ${key}\n`);
  const server = contentOf(document, "/etc/ssh/sshd_config.d/00-gradientlab.conf");
  expect(server).toContain(`Match User gl-install
  AllowTcpForwarding no
  PermitTTY no
  ForceCommand sudo -n /usr/local/lib/gradientlab/collector-install "$SSH_ORIGINAL_COMMAND"
`);
  const rights = document.users.map(({ name, sudo }) => [name, sudo]);
  expect(rights).toEqual([
    ["gl-operator", "ALL=(ALL) NOPASSWD:ALL"],
    ["gl-install", "ALL=(root) NOPASSWD: /usr/local/lib/gradientlab/collector-install"],
    ["gradientlab", undefined],
  ]);
});

it("brings the unit of the deployment, which starts with its first release and not before", () => {
  const document = collectorHostDocument(spec);
  expect(contentOf(document, "/etc/systemd/system/gradientlab-collector.service")).toBe(unit);
  expect(JSON.stringify(document.runcmd)).not.toContain("gradientlab-collector");
  const folders = contentOf(document, "/etc/tmpfiles.d/gradientlab.conf");
  for (const folder of ["/var/lib/gradientlab", "/var/lib/gradientlab/networks", "/var/lib/gradientlab/spool"])
    expect(folders).toContain(`d ${folder} 0700 gradientlab gradientlab -\n`);
});

it("holds programs that a shell can read, and takes no browser from a snap", () => {
  const document = collectorHostDocument({ ...spec, os: "ubuntu-24.04" });
  const programs = document.write_files.filter(({ content }) => content.startsWith("#!/bin/sh"));
  expect(programs.map(({ path }) => path.split("/").at(-1))).toEqual([
    "collector-install",
    "gradientlab",
    "browser-install",
  ]);
  for (const { content } of programs)
    expect(spawnSync("sh", ["-n"], { input: content, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  const browser = contentOf(document, "/usr/local/lib/gradientlab/browser-install");
  expect(browser).toContain("try 'google-chrome-stable'");
  // No policy of a node's rules the collector's browser.
  expect(browser).not.toMatch(/policy\.json|snap install|systemctl start/);
});

it("is refused with a secret in it, and with a host's name that is none", () => {
  const secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n";
  expect(() => collectorHostDocument({ ...spec, unit: secret })).toThrow(/holds a private key/);
  expect(() => collectorHostDocument({ ...spec, hostname: "Not a name" })).toThrow(BadInput);
});
