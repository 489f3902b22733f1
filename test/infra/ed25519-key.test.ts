import ssh from "ssh2";
import { describe, expect, it } from "vitest";
import { ed25519KeyPair } from "../../infra/ed25519-key.ts";
import { noSshd, startSshd } from "../harness/sshd.ts";

/** Returns a pair whose public half begins with a zero, as one in 256 does. */
function leadingZero(): ReturnType<typeof ed25519KeyPair> {
  for (;;) {
    const pair = ed25519KeyPair("somebody at home");
    const point = Buffer.from(pair.publicKey.split(" ")[1] ?? "", "base64").subarray(-32);
    if (point[0] === 0) return pair;
  }
}

describe("a new Ed25519 key pair", () => {
  it("has two halves that belong together, of one length whatever they begin with", () => {
    for (const pair of [ed25519KeyPair("somebody at home"), leadingZero()]) {
      const parsed = ssh.utils.parseKey(pair.privateKey);
      if (parsed instanceof Error) throw parsed;
      expect(parsed.comment).toBe("somebody at home");
      expect(`ssh-ed25519 ${parsed.getPublicSSH().toString("base64")} somebody at home`).toBe(pair.publicKey);
      expect(parsed.verify("data", parsed.sign("data"))).toBe(true);
      expect(Buffer.from(pair.publicKey.split(" ")[1] ?? "", "base64")).toHaveLength(4 + 11 + 4 + 32);
    }
    expect(ed25519KeyPair("a").privateKey).not.toBe(ed25519KeyPair("a").privateKey);
  });

  it("is one that OpenSSH takes, whatever it begins with", async ({ skip }) => {
    skip(noSshd !== null, noSshd ?? "");
    const server = await startSshd([], leadingZero());
    await server.stop();
    expect(server.hostKey).toMatch(/^ssh-ed25519 /);
  });
});
