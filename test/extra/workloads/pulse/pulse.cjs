// A node of the practice network without a browser: registers once, sends a heartbeat every 30 s, and answers taps. Its
// identity is `pulse/identity.json` in the node's folder. Without a network it only says that it is there.
const { randomBytes, randomUUID } = require("node:crypto");
const { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const node = process.argv[2] ?? ".";
const folder = join(node, "pulse");
const version = "1.0.0";
const heartbeatMs = 30_000;
const retryMs = 2000;

/** @type {{ network: { settings: { origin: string, enrolCode: string } } | null }} */
const { network } = JSON.parse(readFileSync(join(node, "node.json"), "utf8"));

/** @param {string} name @param {unknown} value */
function write(name, value) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.part`), JSON.stringify(value), { mode: 0o600 });
  renameSync(join(folder, `${name}.part`), join(folder, name));
}

/** @returns {{ installation: string, clientid?: string }} */
function readIdentity() {
  const file = join(folder, "identity.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { installation: randomUUID() };
}

/** @type {{ token: string, until: number } | undefined} */
let login;

/**
 * @param {string} path
 * @param {Record<string, unknown>} body
 * @param {string} [token]
 * @returns {Promise<any>}
 */
async function post(path, body, token) {
  if (network === null) throw new Error("this node has no network");
  const answer = await fetch(`${network.settings.origin}/practice/${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${text.slice(0, 200)}`);
  return JSON.parse(text).data;
}

async function tokenNow() {
  if (network === null) throw new Error("this node has no network");
  if (login === undefined || Date.now() > login.until) {
    const { token, expiresInSeconds } = await post("enrol", { code: network.settings.enrolCode });
    login = { token, until: Date.now() + (expiresInSeconds - 60) * 1000 };
  }
  return login.token;
}

async function heartbeat() {
  const token = await tokenNow();
  const identity = readIdentity();
  if (identity.clientid === undefined) {
    const { clientid } = await post("nodes", { installation: identity.installation, version }, token);
    identity.clientid = clientid;
    write("identity.json", identity);
  }
  const { clientid } = identity;
  const nonce = randomBytes(16).toString("hex");
  const { relayed } = await post("heartbeats", { clientid, version, nonce }, token);
  for (const { id, nonce: echo } of relayed ?? []) await post(`taps/${id}/echo`, { clientid, echo }, token);
  write("app.json", { version, networkNodeId: clientid, lastHeartbeatAt: new Date().toISOString() });
}

async function beat() {
  let wait = heartbeatMs;
  try {
    await heartbeat();
  } catch (error) {
    // The network may be late or gone for a while; the node goes on and tells its log.
    console.error(error instanceof Error ? error.message : error);
    wait = retryMs;
  }
  setTimeout(beat, wait);
}

if (network === null) {
  write("app.json", { version });
  setInterval(() => undefined, heartbeatMs);
} else void beat();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
