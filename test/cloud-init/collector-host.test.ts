import { expect, it } from "vitest";
import { collectorHostDocument } from "../../cloud-init/collector-host.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmSfnE5mQ1Fq0a3SxcVZ2yJb1tq8mB4sJ4bYg1c0QxQ someone";

it("the collector's machine lets the operator in by key alone, and forwards ports and nothing else", () => {
  const document = collectorHostDocument({ hostname: "gl-collector", diskGib: 50, operatorKeys: [key, key] });
  expect(document.users.map(({ name }) => name)).toEqual(["gl-operator"]);
  const contentOf = (path: string): string => document.write_files.find((each) => each.path === path)?.content ?? "";
  expect(contentOf("/etc/ssh/gradientlab/gl-operator")).toBe(`${key}\n${key}\n`);
  const server = contentOf("/etc/ssh/sshd_config.d/00-gradientlab.conf");
  for (const line of ["AllowUsers gl-operator", "PasswordAuthentication no", "AllowTcpForwarding local"])
    expect(server).toContain(`${line}\n`);
});
