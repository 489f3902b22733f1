import { describe, expect, it } from "vitest";
import { hasSetUp, hostKeysOn, lastWords } from "../../../../../infra/providers/local/machine/console.ts";

const key = `ssh-ed25519 ${"A".repeat(68)}`;
const other = `ssh-ed25519 ${"B".repeat(68)}`;
const shown = (...keys: readonly string[]): string =>
  `[  40.1] random text\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n${keys.map((text) => `${text} root@vm\r\n`).join("")}-----END SSH HOST KEY KEYS-----\r\n`;

describe("the console of a machine", () => {
  it("shows no host key before the machine has booted, nor half of them", () => {
    expect(hostKeysOn("")).toBeUndefined();
    expect(hostKeysOn("Starting ssh\r\n")).toBeUndefined();
    const whole = shown(key);
    expect(hostKeysOn(whole.slice(0, whole.indexOf("-----END")))).toBeUndefined();
  });

  it("shows the Ed25519 key, which is the one that a node's SSH server uses", () => {
    expect(hostKeysOn(shown(`ecdsa-sha2-nistp256 ${"C".repeat(140)}=`, key, `ssh-rsa ${"D".repeat(372)}`))).toEqual([
      key,
    ]);
  });

  it("counts for the last boot that it shows", () => {
    expect(hostKeysOn(shown(other) + shown(key))).toEqual([key]);
  });

  it("has no key where the kernel wrote into it", () => {
    expect(hostKeysOn(shown(`${key.slice(0, 40)}[   41.2] kernel: hello\r\n${key.slice(40)}`))).toBeUndefined();
  });

  it("shows that the machine is set up when cloud-init says that it finished, in whichever boot", () => {
    const words =
      "[ 48.9] cloud-init[640]: Cloud-init v. 22.4.2 finished at Sat, 28 Nov 2026 00:00:00 +0000. Up 48 s\r\n";
    expect(hasSetUp(`${shown(key)}[ 30.1] cloud-init[519]: Cloud-init v. 22.4.2 running 'modules:final'\r\n`)).toBe(
      false,
    );
    expect(hasSetUp(`${shown(key)}${words}${shown(key)}[ 4.2] Linux version 6.1\r\n`)).toBe(true);
  });

  it("ends with words that a person can read", () => {
    expect(lastWords("\u001b[0;32m  OK  \u001b[0m] Reached target\r\n\r\n[ 9.1] Kernel panic\r\n")).toBe(
      "OK  ] Reached target / [ 9.1] Kernel panic",
    );
  });
});
