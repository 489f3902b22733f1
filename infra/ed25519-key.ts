import { generateKeyPairSync, randomBytes } from "node:crypto";

const type = "ssh-ed25519";

/**
 * Returns a new Ed25519 key pair: the private half in OpenSSH's own form (openssh-key-v1 of its PROTOCOL.key) without a
 * passphrase, the public half as one line. Both halves are taken as they are written: a form that drops a leading zero,
 * as numbers may, is refused by OpenSSH once in 256 keys.
 */
export function ed25519KeyPair(comment: string): { readonly privateKey: string; readonly publicKey: string } {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  const wire = Buffer.concat([text(type), text(point)]);
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, wire, text(Buffer.concat([seed, point])), text(comment)]);
  const padding = Uint8Array.from({ length: -secret.length & 7 }, (_, index) => index + 1);
  const body = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    text("none"),
    text("none"),
    text(""),
    Buffer.from([0, 0, 0, 1]),
    text(wire),
    text(Buffer.concat([secret, padding])),
  ]);
  const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n"),
    publicKey: `${type} ${wire.toString("base64")} ${comment}`,
  };
}

/** Returns bytes as SSH writes them: their number in four bytes before them. */
function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
