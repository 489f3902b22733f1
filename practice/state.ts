import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { ExplainedError } from "../infra/problem.ts";
import type { ClockAnchor } from "./clock.ts";
import { type Arrival, dayOf, uptimeAdded } from "./reward.ts";

/**
 * The practice network's state on disk: one SQLite database, every commit synced before the answer that tells of it, so
 * that a killed process loses nothing it acknowledged. `at` is network time, `realAt` real time, both in milliseconds.
 */

const schemaVersion = 1;
const schema = `
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE account (
  uid TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL, name TEXT NOT NULL,
  enrolCode TEXT NOT NULL UNIQUE, referralCode TEXT NOT NULL UNIQUE, createdAt INTEGER NOT NULL,
  invitees INTEGER NOT NULL DEFAULT 0, pendingInvitees INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE session (
  refreshHash TEXT PRIMARY KEY, uid TEXT NOT NULL REFERENCES account, expiresRealAt INTEGER NOT NULL
) STRICT;
CREATE TABLE node (
  clientid TEXT PRIMARY KEY, uid TEXT NOT NULL REFERENCES account, installation TEXT NOT NULL, name TEXT NOT NULL,
  version TEXT NOT NULL, ip TEXT NOT NULL, createdAt INTEGER NOT NULL, UNIQUE (uid, installation)
) STRICT;
CREATE TABLE heartbeat (
  clientid TEXT NOT NULL REFERENCES node, n INTEGER NOT NULL, at INTEGER NOT NULL, realAt INTEGER NOT NULL,
  version TEXT NOT NULL, counted INTEGER NOT NULL, PRIMARY KEY (clientid, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE day (
  clientid TEXT NOT NULL REFERENCES node, day TEXT NOT NULL, uptimeMs INTEGER NOT NULL, taps INTEGER NOT NULL,
  PRIMARY KEY (clientid, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE tap (
  id TEXT PRIMARY KEY, initiator TEXT NOT NULL REFERENCES node, peer TEXT NOT NULL REFERENCES node, nonce TEXT NOT NULL,
  offeredAt INTEGER NOT NULL, relayedRealAt INTEGER, echo TEXT, latencyMs INTEGER, concludedAt INTEGER, verified INTEGER
) STRICT;
CREATE INDEX tapByInitiator ON tap (initiator, concludedAt);
CREATE INDEX tapByPeer ON tap (peer, concludedAt);
CREATE TABLE misbehaviour (
  id INTEGER PRIMARY KEY AUTOINCREMENT, request TEXT NOT NULL, remaining INTEGER, untilRealAt INTEGER
) STRICT;
`;

export interface Account {
  readonly uid: string;
  readonly email: string;
  readonly password: string;
  readonly name: string;
  readonly enrolCode: string;
  readonly referralCode: string;
  readonly createdAt: number;
  readonly invitees: number;
  readonly pendingInvitees: number;
}

export interface NodeRow {
  readonly clientid: string;
  readonly uid: string;
  readonly installation: string;
  readonly name: string;
  readonly version: string;
  readonly ip: string;
  readonly createdAt: number;
}

export interface HeartbeatRow {
  readonly n: number;
  readonly at: number;
  readonly realAt: number;
  readonly version: string;
  readonly counted: boolean;
}

/** One node's uptime and taps of one UTC day of network time. */
export interface DayRow {
  readonly clientid: string;
  readonly day: string;
  readonly uptimeMs: number;
  readonly taps: number;
}

export interface TapRow {
  readonly id: string;
  readonly initiator: string;
  readonly peer: string;
  readonly nonce: string;
  readonly offeredAt: number;
  readonly relayedRealAt: number | null;
  readonly echo: string | null;
  readonly latencyMs: number | null;
  readonly concludedAt: number | null;
  readonly verified: number | null;
}

export interface MisbehaviourRow {
  readonly id: number;
  readonly request: string;
  readonly remaining: number | null;
  readonly untilRealAt: number | null;
}

export type State = ReturnType<typeof openState>;

/**
 * Opens the state in `file`, making it when it is not there, and returns its queries.
 * Throws `practice-running` when another process holds it and `practice-state` when a newer release wrote it.
 */
export function openState(file: string) {
  const db = opened(file);

  const all = <Row>(sql: string) => {
    const statement = db.prepare(sql);
    return (...values: SQLInputValue[]): readonly Row[] => statement.all(...values) as unknown as readonly Row[];
  };
  const first = <Row>(sql: string) => {
    const statement = db.prepare(sql);
    return (...values: SQLInputValue[]): Row | undefined => statement.get(...values) as unknown as Row | undefined;
  };
  const change = (sql: string) => {
    const statement = db.prepare(sql);
    return (...values: SQLInputValue[]): number => Number(statement.run(...values).changes);
  };

  const setting = first<{ value: string }>("SELECT value FROM setting WHERE name = ?");
  const putSetting = change("INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const insertAccount = change(
    "INSERT INTO account (uid, email, password, name, enrolCode, referralCode, createdAt) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const insertNode = change("INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?)");
  const nodeOfInstallation = first<NodeRow>("SELECT * FROM node WHERE uid = ? AND installation = ?");
  const lastHeartbeat = first<{ n: number; at: number; counted: number }>(
    "SELECT n, at, counted FROM heartbeat WHERE clientid = ? ORDER BY n DESC LIMIT 1",
  );
  const insertHeartbeat = change("INSERT INTO heartbeat VALUES (?, ?, ?, ?, ?, ?)");
  const heardFrom = change("UPDATE node SET version = ?, ip = ? WHERE clientid = ?");
  const addToDay = change(
    "INSERT INTO day VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET uptimeMs = uptimeMs + excluded.uptimeMs, taps = taps + excluded.taps",
  );
  const heartbeatsAfter = all<Omit<HeartbeatRow, "counted"> & { counted: number }>(
    "SELECT n, at, realAt, version, counted FROM heartbeat WHERE clientid = ? AND n > ? ORDER BY n LIMIT ?",
  );
  const concludeTap = change("UPDATE tap SET concludedAt = ?, verified = ? WHERE id = ? AND concludedAt IS NULL");

  const lastOffer = first<{ at: number | null }>("SELECT max(offeredAt) AS at FROM tap WHERE initiator = ?");
  const lastBetween = first<{ at: number | null }>(
    "SELECT max(offeredAt) AS at FROM tap WHERE initiator = ? AND peer = ? OR initiator = ? AND peer = ?",
  );

  const inTransaction = <T>(work: () => T): T => {
    db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      db.exec("COMMIT");
      return result;
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  };

  return {
    /** Runs `work` so that all its changes are kept or none. */
    inTransaction,
    close: (): void => db.close(),

    setting: (name: string): string | undefined => setting(name)?.value,
    putSetting: (name: string, value: string): void => void putSetting(name, value),
    clockAnchor: (): ClockAnchor | undefined => {
      const text = setting("clock")?.value;
      return text === undefined ? undefined : (JSON.parse(text) as ClockAnchor);
    },
    putClockAnchor: (anchor: ClockAnchor): void => void putSetting("clock", JSON.stringify(anchor)),
    /** Returns the latest network time that anything was stored with, or 0: the clock never goes back behind it. */
    latestAt: (): number => first<{ at: number | null }>("SELECT max(at) AS at FROM heartbeat")()?.at ?? 0,

    addAccount: (a: Omit<Account, "invitees" | "pendingInvitees">): void =>
      void insertAccount(a.uid, a.email, a.password, a.name, a.enrolCode, a.referralCode, a.createdAt),
    firstAccount: first<Account>("SELECT * FROM account ORDER BY createdAt, uid LIMIT 1"),
    account: first<Account>("SELECT * FROM account WHERE uid = ?"),
    accountByEmail: first<Account>("SELECT * FROM account WHERE email = ?"),
    accountByEnrolCode: first<Account>("SELECT * FROM account WHERE enrolCode = ?"),
    /** Registers invitees with an account: `invitees` more, of which `pending` have not reached 72 hours of uptime. */
    addInvitees: change(
      "UPDATE account SET invitees = invitees + ?, pendingInvitees = pendingInvitees + ? WHERE uid = ?",
    ),

    addSession: change("INSERT INTO session VALUES (?, ?, ?)"),
    session: first<{ uid: string; expiresRealAt: number }>(
      "SELECT uid, expiresRealAt FROM session WHERE refreshHash = ?",
    ),
    removeSession: change("DELETE FROM session WHERE refreshHash = ?"),
    removeExpiredSessions: change("DELETE FROM session WHERE expiresRealAt <= ?"),

    /** Returns the node of this installation, made now unless it exists: registering twice gives one node. */
    registerNode: (node: NodeRow): NodeRow =>
      inTransaction(() => {
        const known = nodeOfInstallation(node.uid, node.installation);
        if (known !== undefined) return known;
        const { clientid, uid, installation, name, version, ip, createdAt } = node;
        insertNode(clientid, uid, installation, name, version, ip, createdAt);
        return node;
      }),
    node: first<NodeRow>("SELECT * FROM node WHERE clientid = ?"),
    nodesOf: all<NodeRow>("SELECT * FROM node WHERE uid = ? ORDER BY createdAt, clientid"),
    otherNodes: all<NodeRow>("SELECT * FROM node WHERE clientid <> ? ORDER BY clientid"),

    /** Stores a heartbeat and the uptime it proves; call it in a transaction with what else the heartbeat does. */
    addHeartbeat: (
      clientid: string,
      heartbeat: Omit<HeartbeatRow, "n"> & { readonly ip: string },
      toleranceMs: number,
    ): void => {
      const { at, realAt, version, counted, ip } = heartbeat;
      const last = lastHeartbeat(clientid);
      const previous: Arrival | null = last === undefined ? null : { at: last.at, counted: last.counted === 1 };
      insertHeartbeat(clientid, (last?.n ?? 0) + 1, at, realAt, version, counted ? 1 : 0);
      heardFrom(version, ip, clientid);
      addToDay(clientid, dayOf(at), 0, 0);
      for (const { day, ms } of uptimeAdded(previous, { at, counted }, toleranceMs)) addToDay(clientid, day, ms, 0);
    },
    lastHeardAt: (clientid: string): number | null => lastHeartbeat(clientid)?.at ?? null,
    heartbeatsAfter: (clientid: string, n: number, limit: number): readonly HeartbeatRow[] =>
      heartbeatsAfter(clientid, n, limit).map((row) => ({ ...row, counted: row.counted === 1 })),

    daysOfNode: all<DayRow>("SELECT * FROM day WHERE clientid = ? AND day BETWEEN ? AND ? ORDER BY day"),
    daysOfAccount: all<DayRow>(
      "SELECT day.* FROM day JOIN node USING (clientid) WHERE uid = ? AND day BETWEEN ? AND ? ORDER BY day, clientid",
    ),

    offerTap: change("INSERT INTO tap (id, initiator, peer, nonce, offeredAt) VALUES (?, ?, ?, ?, ?)"),
    tap: first<TapRow>("SELECT * FROM tap WHERE id = ?"),
    tapsToRelay: all<TapRow>("SELECT * FROM tap WHERE peer = ? AND concludedAt IS NULL AND echo IS NULL"),
    tapsToVerify: all<TapRow>("SELECT * FROM tap WHERE initiator = ? AND concludedAt IS NULL AND echo IS NOT NULL"),
    openTapsOffered: all<TapRow>("SELECT * FROM tap WHERE initiator = ? AND concludedAt IS NULL"),
    lastOfferAt: (initiator: string): number | null => lastOffer(initiator)?.at ?? null,
    lastTapBetween: (a: string, b: string): number | null => lastBetween(a, b, b, a)?.at ?? null,
    relayTap: change("UPDATE tap SET relayedRealAt = ? WHERE id = ?"),
    echoTap: change("UPDATE tap SET echo = ?, latencyMs = ? WHERE id = ? AND echo IS NULL"),
    /** Ends a tap; a verified one counts for both nodes on the day of `at`. Returns whether it was still open. */
    concludeTap: (tap: TapRow, at: number, verified: boolean): boolean => {
      if (concludeTap(at, verified ? 1 : 0, tap.id) === 0) return false;
      if (verified) for (const clientid of [tap.initiator, tap.peer]) addToDay(clientid, dayOf(at), 0, 1);
      return true;
    },
    /** Verified taps that the node took part in, newest first. */
    tapsOf: all<TapRow>(
      "SELECT * FROM tap WHERE ? IN (initiator, peer) AND verified = 1 ORDER BY concludedAt DESC, id LIMIT ?",
    ),

    misbehaviours: all<MisbehaviourRow>("SELECT * FROM misbehaviour ORDER BY id"),
    addMisbehaviour: first<{ id: number }>(
      "INSERT INTO misbehaviour (request, remaining, untilRealAt) VALUES (?, ?, ?) RETURNING id",
    ),
    spendMisbehaviour: change("UPDATE misbehaviour SET remaining = remaining - 1 WHERE id = ?"),
    removeMisbehaviour: change("DELETE FROM misbehaviour WHERE id = ?"),
    removeMisbehaviours: change("DELETE FROM misbehaviour"),
  };
}

function opened(file: string): DatabaseSync {
  // SQLite gives its other files the mode of this one, and it holds secrets.
  closeSync(openSync(file, "a", 0o600));
  const db = new DatabaseSync(file);
  try {
    // Exclusive: a second service on this folder must fail instead of writing beside the first.
    db.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
    );
    db.exec("BEGIN IMMEDIATE");
    const version = Number(Object.values(db.prepare("PRAGMA user_version").get() ?? {})[0]);
    if (version > schemaVersion)
      throw new ExplainedError(
        "practice-state",
        `${file} was written by a newer release (schema ${version}; this one knows ${schemaVersion}).`,
        "Use that release, or start the practice network with another --directory.",
      );
    if (version === 0) db.exec(`${schema}; PRAGMA user_version = ${schemaVersion}`);
    db.exec("COMMIT");
    return db;
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy)
      throw new ExplainedError(
        "practice-running",
        `${file} is held by another process: a practice network already runs with this folder.`,
        "Use the running one (its address is in service.json beside it), or stop it first.",
        { cause: error },
      );
    throw error;
  }
}

const sqliteBusy = 5;
