import { randomBytes, randomUUID } from "node:crypto";
import { Refusal } from "./refusal.ts";
import type { Account, State } from "./state.ts";
import { accessTokenSeconds, accountOfToken, hashOfToken, issueToken, sameSecret } from "./token.ts";

const refreshTokenMs = 30 * 86_400_000;

const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const codeOf = (length: number): string =>
  Array.from(randomBytes(length), (byte) => letters[byte % letters.length]).join("");

/** Secrets of this practice network beside its account's. */
export interface ServiceSecrets {
  readonly adminToken: string;
  readonly signingSecret: string;
}

/** Returns the practice account and the service's secrets, made at the first start. `at` is network time in ms. */
export function accountAndSecrets(state: State, at: number): { account: Account; secrets: ServiceSecrets } {
  return state.inTransaction(() => {
    const secret = (name: string): string => {
      const known = state.setting(name);
      if (known !== undefined) return known;
      const made = randomBytes(32).toString("base64url");
      state.putSetting(name, made);
      return made;
    };
    if (state.firstAccount() === undefined)
      state.addAccount({
        uid: randomUUID().replaceAll("-", "").slice(0, 28),
        // RFC 2606 reserves .invalid: mail to this address reaches nobody.
        email: `practice@${randomBytes(4).toString("hex")}.invalid`,
        password: randomBytes(18).toString("base64url"),
        name: "Practice",
        enrolCode: randomBytes(18).toString("base64url"),
        referralCode: codeOf(6),
        createdAt: at,
      });
    const account = state.firstAccount();
    if (account === undefined) throw new Error("The account that was just made is not there.");
    return { account, secrets: { adminToken: secret("adminToken"), signingSecret: secret("signingSecret") } };
  });
}

/** What a signed-in client holds; the names of its first three fields are those the extension keeps. */
interface Login {
  readonly token: string;
  readonly refresh: string;
  readonly uid: string;
  readonly expiresInSeconds: number;
}

/** Signing in and out. Times are real, in milliseconds. */
export interface SignIn {
  /** Throws a `Refusal` with status 401 when the email or the password is wrong. */
  withPassword(email: string, password: string): Login;
  /** Throws a `Refusal` with status 401 when no account has this code. */
  withEnrolCode(code: string): Login;
  /** Returns a new access token. Throws a `Refusal` with status 401 when the refresh token is not known any more. */
  withRefreshToken(refresh: string): Login;
  signOut(refresh: string): void;
  /** Returns the account that an `Authorization` header names. Throws a `Refusal` with status 401 when none. */
  accountOf(authorization: string | undefined): Account;
}

/** Returns the ways to sign in to the accounts in `state`. `now` is the real clock. */
export function signInOf(state: State, signingSecret: string, now: () => number): SignIn {
  const tokenFor = (uid: string, refresh: string): Login => ({
    token: issueToken(signingSecret, uid, now()),
    refresh,
    uid,
    expiresInSeconds: accessTokenSeconds,
  });
  const open = (uid: string): Login => {
    const refresh = randomBytes(32).toString("base64url");
    state.removeExpiredSessions(now());
    state.addSession(hashOfToken(refresh), uid, now() + refreshTokenMs);
    return tokenFor(uid, refresh);
  };
  return {
    withPassword(email, password) {
      const account = state.accountByEmail(email);
      if (account === undefined || !sameSecret(account.password, password))
        throw new Refusal(401, "The email or the password is wrong.");
      return open(account.uid);
    },
    withEnrolCode(code) {
      const account = state.accountByEnrolCode(code);
      if (account === undefined) throw new Refusal(401, "No account has this enrol code.");
      return open(account.uid);
    },
    withRefreshToken(refresh) {
      const session = state.session(hashOfToken(refresh));
      if (session === undefined || session.expiresRealAt <= now())
        throw new Refusal(401, "The refresh token is not valid any more: sign in again.");
      return tokenFor(session.uid, refresh);
    },
    signOut(refresh) {
      state.removeSession(hashOfToken(refresh));
    },
    accountOf(authorization) {
      const token = /^Bearer (\S+)$/.exec(authorization ?? "")?.[1];
      if (token === undefined) throw new Refusal(401, "The header Authorization: Bearer <token> is missing.");
      const uid = accountOfToken(signingSecret, token, now());
      const account = uid === null ? undefined : state.account(uid);
      if (account === undefined) throw new Refusal(401, "The token is not valid any more: sign in again.");
      return account;
    },
  };
}
