import { once } from "node:events";
import type { Duplex } from "node:stream";
import ssh, { type Client, type ClientChannel } from "ssh2";
import type { Reach } from "../../infra/inventory.ts";
import { AgentError, HostKeyRefused, keptErrorBytes, type VerbRunner } from "./agent.ts";
import { fingerprintOf, type SshKey } from "./ssh-key.ts";

type SshReach = Extract<Reach, { readonly kind: "ssh" }>;

interface Host {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly hostKeys: readonly string[];
}

/** How long a node may take from the first packet to an accepted key; an emulated machine takes seconds. */
const connectMs = 30_000;
/** How long a verb may take there, where the agent may have a fraction of a processor. */
const verbMs = 60_000;
const keepAliveMs = 20_000;
const keepAliveMisses = 3;
/** A node that cannot be reached is tried again after this, then after twice as long, and so on up to the last. */
const firstRetryMs = 5_000;
const lastRetryMs = 300_000;

// Those that Node.js has in native code come first; all are OpenSSH's own defaults.
const ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"] as const;

/**
 * Returns what runs an agent's verbs over SSH, for a key that the node's forced command limits to them. The connection
 * is made at the first verb, held, and made anew when it broke. The node's host key must be one of `reach.hostKeys`:
 * otherwise nothing is sent and the error names both fingerprints. After a failed connection verbs fail with its error
 * until the next try is due, so that a node that is away costs nothing. `clock` counts milliseconds.
 */
export function sshVerbs(reach: SshReach, key: SshKey, clock: () => number = () => performance.now()): VerbRunner {
  let held: Promise<Connection> | undefined;
  let failed: { readonly error: AgentError; readonly times: number; readonly until: number } | undefined;

  const connection = (): Promise<Connection> => {
    if (held !== undefined) return held;
    if (failed !== undefined && clock() < failed.until) throw failed.error;
    const made: Promise<Connection> = connectThrough(reach, key, () => {
      if (held === made) held = undefined;
    });
    held = made;
    made.then(
      () => {
        failed = undefined;
      },
      (error: AgentError) => {
        if (held === made) held = undefined;
        const times = (failed?.times ?? 0) + 1;
        failed = { error, times, until: clock() + Math.min(lastRetryMs, firstRetryMs * 2 ** (times - 1)) };
      },
    );
    return made;
  };

  return {
    async run(words, signal, read) {
      const wrong = words.find((word) => !/^[A-Za-z0-9._:=-]+$/.test(word));
      if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} is no word that an agent takes.`);
      const { client, end } = await unlessAborted(signal, connection());
      const verb = await unlessAborted(signal, begun(client, words.join(" ")));
      let late = false;
      // What does not end by itself is not asked to: with its connection everything of the verb ends.
      const deadline = setTimeout(() => {
        late = true;
        end();
      }, verbMs);
      signal.addEventListener("abort", end, { once: true });
      try {
        // Not closed from here when its output has ended: its exit code comes after that.
        const output = verb.channel.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
        const [result] = await Promise.allSettled([read(output)]);
        // A far side that says what it should not is not heard to its end; one that ended too early says why.
        if (result.status === "rejected" && !verb.channel.readableEnded) end();
        else verb.channel.resume();
        await verb.closed;
        const exit = verb.exit();
        const why = late ? `it took longer than ${verbMs / 1000} s` : exit === null ? "the connection broke off" : "";
        return { result, exit, errors: [verb.errors(), why].filter((text) => text !== "").join("; ") };
      } finally {
        clearTimeout(deadline);
        signal.removeEventListener("abort", end);
      }
    },
    close() {
      const made = held;
      held = undefined;
      failed = undefined;
      // A connection that was never made has told whoever waited for it.
      made?.then(
        ({ end }) => end(),
        () => undefined,
      );
    },
  };
}

/** Returns what `work` does, unless nobody waits for it any more. */
async function unlessAborted<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  // Whoever gave up is not told how it ended.
  work.catch(() => undefined);
  const listening = new AbortController();
  const aborted = once(signal, "abort", { signal: listening.signal }).then(() => stopped(), stopped);
  try {
    return signal.aborted ? stopped() : await Promise.race([work, aborted]);
  } finally {
    listening.abort();
    aborted.catch(() => undefined);
  }
}

function stopped(): never {
  throw new AgentError(null, "the verb was given up before it began");
}

/** A connection whose host key was one of those that are pinned. */
export interface Connection {
  readonly client: Client;
  /** Ends it at once, with all that runs on it. */
  end(): void;
}

/**
 * Connects to a node, through its jump host where it has one, and returns when its host key was found among the pinned
 * ones and it let the key in. `onClose` is called when the connection ends. Throws AgentError, `HostKeyRefused` among them.
 */
export async function connectThrough(reach: SshReach, key: SshKey, onClose: () => void): Promise<Connection> {
  const { jump } = reach;
  if (jump === undefined) {
    const client = await connect(reach, key, undefined);
    client.once("close", onClose);
    return { client, end: () => client.destroy() };
  }
  const near = await connect({ ...jump, port: jump.port ?? 22, hostKeys: [jump.hostKey] }, key, undefined);
  try {
    const client = await connect(reach, key, await forwarded(near, reach));
    client.once("close", () => {
      near.destroy();
      onClose();
    });
    return { client, end: () => client.destroy() };
  } catch (error) {
    near.destroy();
    throw error;
  }
}

function forwarded(near: Client, { host, port }: SshReach): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    near.forwardOut("127.0.0.1", 0, host, port, (error, stream) => {
      if (error === undefined) resolve(stream);
      else reject(new AgentError(null, `the jump host does not reach ${host}:${port}: ${error.message}`));
    });
  });
}

function connect(to: Host, key: SshKey, sock: Duplex | undefined): Promise<Client> {
  const { host, port, user, hostKeys } = to;
  const where = `${host}:${port}`;
  const pinned = hostKeys.map((text) => text.trim().split(/\s+/)).map(([type = "", body = ""]) => ({ type, body }));
  let refused: HostKeyRefused | undefined;
  const client = new ssh.Client();
  return new Promise((resolve, reject) => {
    if (pinned.length === 0) throw new AgentError(null, `no host key of ${where} is known, so it is not connected to`);
    client.once("ready", () => resolve(client));
    // Errors after this one have no one to be told to: the connection closes, and the next verb makes another.
    client.on("error", (error: Error & { level?: string }) => {
      reject(refused ?? new AgentError(null, sentence(error, where, user, key), { cause: error }));
      client.destroy();
    });
    client.once("close", () =>
      reject(refused ?? new AgentError(null, `${where} closed the connection before it was ready`)),
    );
    client.connect({
      ...(sock === undefined ? { host, port } : { sock }),
      username: user,
      privateKey: key.privateKey,
      authHandler: ["publickey"],
      readyTimeout: connectMs,
      keepaliveInterval: keepAliveMs,
      keepaliveCountMax: keepAliveMisses,
      algorithms: {
        serverHostKey: pinned.flatMap(({ type }) => hostKeyAlgorithms(type)) as never,
        cipher: [...ciphers],
      },
      hostVerifier: (shown: Buffer) => {
        if (pinned.some(({ body }) => body === shown.toString("base64"))) return true;
        const known = pinned.map(({ body }) => fingerprintOf(Buffer.from(body, "base64"))).join(" or ");
        refused = new HostKeyRefused(
          null,
          `${where} shows the host key ${fingerprintOf(shown)}, and ${known} is pinned: it is another machine, or somebody stands between; nothing was sent`,
        );
        return false;
      },
    });
  });
}

/** An RSA key signs by newer algorithms than the one it is named after. */
function hostKeyAlgorithms(type: string): readonly string[] {
  return type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type];
}

function sentence(error: Error & { level?: string }, where: string, user: string, key: SshKey): string {
  switch (error.level) {
    case "client-authentication":
      return `${where} does not let ${user} in with the key ${key.fingerprint}`;
    case "client-timeout":
      return `${where} did not answer within ${connectMs / 1000} s`;
    case "client-socket":
    case "client-dns":
      return `${where} cannot be reached: ${error.message}`;
    default:
      return `${where} does not speak SSH as it should: ${error.message}`;
  }
}

/** A verb that runs on the far side. */
interface BegunVerb {
  readonly channel: ClientChannel;
  exit(): number | null;
  errors(): string;
  readonly closed: Promise<void>;
}

function begun(client: Client, command: string): Promise<BegunVerb> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new AgentError(null, "the connection broke off before the verb began"));
    client.once("close", gone);
    client.exec(command, (error, channel) => {
      client.off("close", gone);
      if (error !== undefined)
        return reject(new AgentError(null, `the node runs no verb: ${error.message}`, { cause: error }));
      // Listened to at once: of a short verb the answer, the exit code and the end may be one packet.
      let exit: number | null = null;
      let errors = "";
      channel.on("exit", (code: number | null) => {
        exit = code;
      });
      channel.stderr.setEncoding("utf8").on("data", (text: string) => {
        if (errors.length < keptErrorBytes) errors += text;
      });
      const closed = new Promise<void>((done) => {
        const end = (): void => {
          // A held connection has thousands of verbs behind it.
          client.off("close", end);
          done();
        };
        channel.once("close", end);
        // A channel that is not read to its end does not tell when its connection is gone.
        client.once("close", end);
      });
      resolve({ channel, closed, exit: () => exit, errors: () => errors.trim().replaceAll("\n", " ") });
    });
  });
}
