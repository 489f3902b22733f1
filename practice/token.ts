import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";

/** How long an access token is good for, in seconds. */
export const accessTokenSeconds = 900;

const Claims = z.object({ sub: z.string(), iat: z.number(), exp: z.number() });

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const signature = (secret: string, text: string): Buffer => createHmac("sha256", secret).update(text).digest();

/**
 * Returns an access token for the account `uid`: a JSON Web Token (RFC 7519, HS256), which is the form of the tokens
 * that the network itself gives. `realMs` is the real time.
 */
export function issueToken(secret: string, uid: string, realMs: number): string {
  const iat = Math.floor(realMs / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iss: "practice", sub: uid, iat, exp: iat + accessTokenSeconds })}`;
  return `${text}.${signature(secret, text).toString("base64url")}`;
}

/** Returns the account that the access token was issued for, or null when it is not ours or has expired. */
export function accountOfToken(secret: string, token: string, realMs: number): string | null {
  const [header, payload, given, ...rest] = token.split(".");
  if (header === undefined || payload === undefined || given === undefined || rest.length > 0) return null;
  const wanted = signature(secret, `${header}.${payload}`);
  const found = Buffer.from(given, "base64url");
  if (found.length !== wanted.length || !timingSafeEqual(found, wanted)) return null;
  // Signed by us, so it is JSON of ours.
  const claims = Claims.safeParse(JSON.parse(Buffer.from(payload, "base64url").toString("utf8")));
  return claims.success && claims.data.exp * 1000 > realMs ? claims.data.sub : null;
}

/** Returns whether two secrets are the same, in a time that does not tell where they differ. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Returns the form in which a refresh token is kept. */
export function hashOfToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
