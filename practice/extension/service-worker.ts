import { hasTexts, isHeartbeatAnswer, isRecord, post, Refused } from "./network.ts";
import { keep, type LoginInfo, read } from "./stored.ts";

/**
 * The node: it registers once, keeps its id, and sends a heartbeat when the browser starts and then by an alarm. The
 * popup only reads what is kept here, so that looking at it wakes nothing.
 */

const alarm = "heartbeat";
/** The shortest period that the browser allows. */
const periodInMinutes = 0.5;
/** An alarm that was due while the browser was closed rings beside the start: one heartbeat is enough for both. */
const apartMs = 10_000;

interface Settings {
  readonly origin: string;
  readonly enrolCode: string;
}

const isSettings = hasTexts("origin", "enrolCode");
const isLogin = hasTexts("token", "refresh", "uid");
const isNode = hasTexts("clientid");

/** Settings come from the browser's policy, or where no policy can be had, from a file of the extension's folder. */
async function settings(): Promise<Settings> {
  const managed: unknown = await chrome.storage.managed.get(["origin", "enrolCode"]);
  if (isSettings(managed)) return managed;
  const packed: unknown = await (await fetch(chrome.runtime.getURL("settings.json"))).json();
  if (isSettings(packed)) return packed;
  throw new Error("No policy gives the origin and the enrolCode of a practice network.");
}

async function enrol({ origin, enrolCode }: Settings): Promise<LoginInfo> {
  const { token, refresh, uid } = await post(origin, "/practice/enrol", { code: enrolCode }, isLogin);
  const loginInfo = { token, refresh, uid };
  await keep({ loginInfo });
  return loginInfo;
}

async function refreshed(using: Settings, held: LoginInfo): Promise<LoginInfo> {
  try {
    const { token, refresh, uid } = await post(using.origin, "/practice/refresh", { refresh: held.refresh }, isLogin);
    const loginInfo = { token, refresh, uid };
    await keep({ loginInfo });
    return loginInfo;
  } catch (error) {
    if (error instanceof Refused && error.code === 401) return enrol(using);
    throw error;
  }
}

/** Does `work` signed in; when the network says that we are not any more, signs in again and does it once more. */
async function signedIn<T>(using: Settings, work: (login: LoginInfo) => Promise<T>): Promise<T> {
  const { loginInfo } = await read("loginInfo");
  const held = loginInfo ?? (await enrol(using));
  try {
    return await work(held);
  } catch (error) {
    if (!(error instanceof Refused && error.code === 401)) throw error;
    return work(await refreshed(using, held));
  }
}

async function clientidOf({ origin }: Settings, { token, uid }: LoginInfo): Promise<string> {
  const { nodeMapEncrypted = {}, installation: known } = await read("nodeMapEncrypted", "installation");
  const registered = nodeMapEncrypted[uid]?.clientid;
  if (registered !== undefined) return registered;
  const installation = known ?? crypto.randomUUID();
  await keep({ installation });
  const request = { installation, version: chrome.runtime.getManifest().version };
  const { clientid } = await post(origin, "/practice/nodes", request, isNode, token);
  await keep({ nodeMapEncrypted: { ...nodeMapEncrypted, [uid]: { clientid } }, clientid });
  return clientid;
}

function newNonce(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sendHeartbeat(using: Settings, login: LoginInfo): Promise<void> {
  const { origin } = using;
  const { version } = chrome.runtime.getManifest();
  const clientid = await clientidOf(using, login);
  const nonce = newNonce();
  const answer = await post(
    origin,
    "/practice/heartbeats",
    { clientid, version, nonce },
    isHeartbeatAnswer,
    login.token,
  );
  const { taps: offered = {} } = await read("taps");
  const taps = answer.offered === null ? offered : { ...offered, [answer.offered]: nonce };
  const now = Date.now();
  await keep({ clientid, version, lastHeartbeatAt: new Date(now).toISOString(), shown: answer.shown, taps });
  await chrome.storage.local.remove("failure");
  await chrome.storage.session.set({ acknowledgedAt: now });
  for (const { id, nonce: echo } of answer.relayed)
    await post(origin, `/practice/taps/${encodeURIComponent(id)}/echo`, { clientid, echo }, isNothing, login.token);
  for (const { id, echo } of answer.echoed) {
    const verdict = { clientid, verified: taps[id] === echo };
    await post(origin, `/practice/taps/${encodeURIComponent(id)}/verdict`, verdict, isRecord, login.token);
    const { [id]: _concluded, ...open } = (await read("taps")).taps ?? {};
    await keep({ taps: open });
  }
}

function isNothing(data: unknown): data is null {
  return data === null;
}

async function heartbeat(): Promise<void> {
  const { acknowledgedAt } = await chrome.storage.session.get("acknowledgedAt");
  const since = typeof acknowledgedAt === "number" ? Date.now() - acknowledgedAt : Number.POSITIVE_INFINITY;
  if (since >= 0 && since < apartMs) return;
  try {
    const using = await settings();
    await signedIn(using, (login) => sendHeartbeat(using, login));
  } catch (error) {
    // Kept for the popup and for whoever looks; the next alarm tries again.
    await keep({ failure: { at: new Date().toISOString(), message: String(error) } });
  }
}

let underWay: Promise<void> | undefined;

function heartbeatOnce(): Promise<void> {
  underWay ??= heartbeat().finally(() => {
    underWay = undefined;
  });
  return underWay;
}

async function start(): Promise<void> {
  await chrome.alarms.create(alarm, { periodInMinutes });
  await heartbeatOnce();
  // Counted anew from the first heartbeat, which signing in may have held up.
  await chrome.alarms.create(alarm, { periodInMinutes });
}

/** A worker that an alarm wakes every 30 s is never idle, which is what the browser would wait for. */
async function update(): Promise<void> {
  await underWay;
  chrome.runtime.reload();
}

chrome.runtime.onInstalled.addListener(start);
chrome.runtime.onUpdateAvailable.addListener(update);
chrome.runtime.onStartup.addListener(start);
// At the first start the policy may reach the extension only after it was installed.
chrome.storage.managed.onChanged.addListener(start);
chrome.alarms.onAlarm.addListener(({ name }) => (name === alarm ? heartbeatOnce() : undefined));
