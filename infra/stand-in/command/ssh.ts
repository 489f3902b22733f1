import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import ssh, { type Client, type ConnectConfig, type SFTPWrapper } from "ssh2";
import { z } from "zod";

/** How to reach a host, as the real plugin takes it. */
const Endpoint = z.object({
  host: z.string(),
  user: z.string().default("root"),
  port: z.number().default(22),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  password: z.string().optional(),
  agentSocketPath: z.string().optional(),
  hostKey: z.string().optional(),
  dialErrorLimit: z.number().default(10),
  perDialTimeout: z.number().default(15),
});
type Endpoint = z.infer<typeof Endpoint>;
export const Connection = Endpoint.extend({ proxy: Endpoint.optional() });
export type Connection = z.infer<typeof Connection>;

/** What a command printed and how it ended: by an exit code, by a signal, or by the end of its session. */
export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams as they came. */
  readonly output: string;
  readonly code: number | null;
  readonly signal: string | null;
}

/** A failure in the words of the real plugin's SSH library. */
export class SshFailure extends Error {
  override readonly name = "SshFailure";
}

/** Calls `work` with a session on the host, dialled as often as the connection allows, and ends the session. */
export async function onHost<Result>(
  connection: Connection,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const { proxy } = connection;
  if (proxy === undefined) {
    const client = await dial(connection);
    return await work(client).finally(() => client.end());
  }
  const jump = await dial(proxy).catch((error: unknown) => {
    throw error instanceof SshFailure ? new SshFailure(`proxy: ${error.message}`) : error;
  });
  try {
    const client = await dial(connection, () => forwarded(jump, connection));
    return await work(client).finally(() => client.end());
  } finally {
    jump.end();
  }
}

function forwarded(jump: Client, { host, port }: Endpoint): Promise<NonNullable<ConnectConfig["sock"]>> {
  return new Promise((resolve, reject) =>
    jump.forwardOut("127.0.0.1", 0, host, port, (error, channel) =>
      error === undefined ? resolve(channel) : reject(new SshFailure(`ssh: rejected: ${error.message}`)),
    ),
  );
}

/**
 * Dials once more than `dialErrorLimit`, 0.1 s after the first failure and half as long again after each further one, up
 * to 5 s; -1 is without end. A key that cannot be read fails at once.
 */
async function dial(endpoint: Endpoint, sock?: () => Promise<NonNullable<ConnectConfig["sock"]>>): Promise<Client> {
  const hostKey = endpoint.hostKey === undefined ? undefined : parsedHostKey(endpoint.hostKey);
  if (endpoint.privateKey !== undefined && !/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(endpoint.privateKey))
    throw new SshFailure("ssh: no key found");
  let wait = 100;
  for (let failures = 0; ; ) {
    try {
      return await dialOnce(endpoint, hostKey, await sock?.());
    } catch (error) {
      if (!(error instanceof SshFailure)) throw error;
      failures++;
      if (endpoint.dialErrorLimit >= 0 && failures > endpoint.dialErrorLimit)
        throw new SshFailure(`after ${endpoint.dialErrorLimit} failed attempts: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.5, 5000);
  }
}

interface HostKey {
  readonly type: string;
  readonly blob: Buffer;
}

function parsedHostKey(line: string): HostKey {
  const [, type, blob] = /^(ssh-\S+|ecdsa-\S+|sk-\S+) ([A-Za-z0-9+/]+=*)(?:\s|$)/.exec(line.trim()) ?? [];
  if (type === undefined || blob === undefined) throw new SshFailure("failed to parse host key: ssh: no key found");
  return { type, blob: Buffer.from(blob, "base64") };
}

function dialOnce(
  endpoint: Endpoint,
  hostKey: HostKey | undefined,
  sock: ConnectConfig["sock"] | undefined,
): Promise<Client> {
  const { host, port, user, privateKey, privateKeyPassword, password, agentSocketPath, perDialTimeout } = endpoint;
  return new Promise((resolve, reject) => {
    const client = new ssh.Client();
    let offered = "";
    let mismatch = false;
    client.once("ready", () => resolve(client));
    client.on("error", (error) => {
      client.end();
      reject(new SshFailure(mismatch ? `ssh: handshake failed: ssh: host key mismatch` : dialError(error)));
    });
    const dialError = (error: Error & { readonly code?: string; readonly level?: string }): string => {
      const at = `dial tcp ${host}:${port}`;
      if (error.code === "ECONNREFUSED") return `${at}: connect: connection refused`;
      if (error.code === "EHOSTUNREACH") return `${at}: connect: no route to host`;
      if (error.code === "ENOTFOUND") return `dial tcp: lookup ${host}: no such host`;
      if (error.level === "client-timeout" || error.code === "ETIMEDOUT") return `${at}: i/o timeout`;
      if (error.level === "client-authentication") {
        const methods = [
          "none",
          ...((privateKey ?? agentSocketPath) ? ["publickey"] : []),
          ...(password ? ["password"] : []),
        ];
        return `ssh: handshake failed: ssh: unable to authenticate, attempted methods [${methods.join(" ")}], no supported methods remain`;
      }
      if (/no matching host key/i.test(error.message))
        return `ssh: handshake failed: ssh: no common algorithm for host key; we offered: [${hostKey?.type}], peer offered: [${offered}]`;
      return `ssh: handshake failed: ${error.message}`;
    };
    client.connect({
      ...(sock === undefined ? { host, port } : { sock }),
      username: user,
      readyTimeout: perDialTimeout * 1000,
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }),
      ...(password === undefined ? {} : { password }),
      ...(agentSocketPath === undefined ? {} : { agent: agentSocketPath }),
      ...(hostKey === undefined
        ? {}
        : {
            algorithms: { serverHostKey: [hostKey.type as "ssh-ed25519"] },
            hostVerifier: (key: Buffer) => {
              mismatch = !key.equals(hostKey.blob);
              return !mismatch;
            },
          }),
      debug: (text) => {
        const found = /\(remote\).*host key.*?: (\S+)/i.exec(text)?.[1];
        if (found !== undefined) offered = found.replaceAll(",", " ");
      },
    });
  });
}

/** Runs a command with these variables asked for, of which the server takes those it accepts. */
export function run(
  client: Client,
  command: string,
  { stdin, env }: { readonly stdin?: string | undefined; readonly env: Readonly<Record<string, string>> },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    client.exec(command, { env: { ...env } }, (error, channel) => {
      if (error !== undefined) return reject(new SshFailure(error.message));
      const texts = { stdout: "", stderr: "", output: "" };
      const hear = (stream: NodeJS.ReadableStream, name: "stdout" | "stderr"): void => {
        stream.setEncoding("utf8");
        stream.on("data", (text: string) => {
          texts[name] += text;
          texts.output += text;
        });
      };
      hear(channel, "stdout");
      hear(channel.stderr, "stderr");
      let code: number | null = null;
      let signal: string | null = null;
      channel.on("exit", (exitCode: number | null, exitSignal?: string) => {
        code = exitCode;
        signal = exitSignal ?? null;
      });
      channel.on("close", () => resolve({ ...texts, code, signal }));
      channel.end(stdin ?? "");
    });
  });
}

/** Copies a file, a text or a folder to a path of the host. */
export async function copy(
  client: Client,
  source: { readonly text: string } | { readonly path: string },
  to: string,
): Promise<void> {
  const sftp = await new Promise<SFTPWrapper>((resolve, reject) =>
    client.sftp((error, opened) => (error === undefined ? resolve(opened) : reject(new SshFailure(error.message)))),
  );
  const write = (path: string, content: string | Buffer): Promise<void> =>
    new Promise((resolve, reject) =>
      sftp.writeFile(path, content, (error) =>
        error === undefined || error === null
          ? resolve()
          : reject(new SshFailure(`file does not exist: ${path}: ${error.message}`)),
      ),
    );
  const folder = (path: string): Promise<void> => new Promise((resolve) => sftp.mkdir(path, () => resolve()));
  const put = async (from: string, path: string): Promise<void> => {
    if (!(await stat(from)).isDirectory()) return await write(path, await readFile(from));
    await folder(path);
    for (const name of await readdir(from)) await put(join(from, name), `${path}/${name}`);
  };
  await ("text" in source ? write(to, source.text) : put(source.path, to));
}
