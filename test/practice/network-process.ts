import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildExtension } from "../../practice/extension-build.ts";
import { ServiceInfo } from "../../practice/service-info.ts";

const main = fileURLToPath(new URL("../../practice/main.ts", import.meta.url));

/** Waits until `look` returns something else than undefined. Throws after `seconds`, naming `what` was awaited. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  seconds = 60,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what} did not come within ${seconds} s.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The practice network as its users run it: a process of its own on a folder that outlives it. */
export interface NetworkProcess {
  readonly info: ServiceInfo;
  readonly process: ChildProcess;
  readonly output: () => string;
}

export function practiceFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "practice-network-"));
}

/** Runs the service to its end or until `service.json` is there. */
export async function startNetwork(directory: string, ...words: string[]): Promise<NetworkProcess> {
  await builtOnce();
  const child = spawn(process.execPath, [main, "--directory", directory, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  try {
    const info = await eventually("service.json", async () => {
      if (child.exitCode !== null) throw new Error(`The practice network ended with ${child.exitCode}: ${output}`);
      const found = await readIfThere(join(directory, "service.json"));
      const read = found === undefined ? undefined : ServiceInfo.parse(JSON.parse(found));
      return read?.pid === child.pid ? read : undefined;
    });
    return { info, process: child, output: () => output };
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** Sends the signal and returns the exit code, null for a process that a signal ended. */
export async function endNetwork({ process: child }: NetworkProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit") as Promise<[number | null]>;
  child.kill(signal);
  return (await ended)[0];
}

export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

let building: Promise<void> | undefined;

/** Builds the extension where the service looks for it, once for each test file, so that no test runs an old one. */
function builtOnce(): Promise<void> {
  building ??= buildExtension();
  return building;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: { code: number; data: never; msg: string };
}

/** Sends one request; `json` of an answer that is no JSON throws when it is looked at. */
export async function request(
  { origin }: { readonly origin: string },
  method: "GET" | "POST" | "DELETE",
  path: string,
  { body, token }: { readonly body?: unknown; readonly token?: string } = {},
): Promise<Answer> {
  const response = await fetch(new URL(path, origin), {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text) as Answer["json"];
    },
  };
}

/** A request that must succeed; returns its data. */
export async function data<T>(...words: Parameters<typeof request>): Promise<T> {
  const answer = await request(...words);
  if (answer.status !== 200 || answer.json.code !== 200)
    throw new Error(`${words[1]} ${words[2]} answered ${answer.status}: ${answer.text}`);
  return answer.json.data;
}

/** Asks the admin's part of the service. */
export function admin<T>(info: ServiceInfo, method: "GET" | "POST" | "DELETE", path: string, body?: unknown) {
  return data<T>(info, method, `/practice/admin/${path}`, {
    token: info.adminToken,
    ...(body === undefined ? {} : { body }),
  });
}

export interface Heartbeat {
  readonly n: number;
  readonly at: number;
  readonly realAt: number;
  readonly version: string;
  readonly counted: boolean;
}

export async function heartbeatsOf(info: ServiceInfo, clientid: string) {
  return admin<{ toleranceMs: number; heartbeats: Heartbeat[] }>(
    info,
    "GET",
    `nodes/${clientid}/heartbeats?limit=100000`,
  );
}

export async function signIn(info: ServiceInfo): Promise<string> {
  const { token } = await data<{ token: string }>(info, "POST", "/practice/sign-in", { body: info.account });
  return token;
}

/** Returns the path of a program that stands on PATH. Throws when there is none of that name. */
export async function programOnPath(name: string): Promise<string> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    try {
      await access(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch (error) {
      if (!["ENOENT", "EACCES", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
  throw new Error(`${name} stands nowhere on PATH.`);
}
