import { readFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { MeasureFailed } from "./measure.ts";
import { openTextSocket, type TextSocket } from "./websocket.ts";

/** A browser's debugging endpoint on the loopback address. */
export interface DebuggingEndpoint {
  readonly port: number;
  /** The path of the browser's own WebSocket. */
  readonly path: string;
}

/** A target as `/json/list` shows it. */
export interface Target {
  readonly type: string;
  readonly url: string;
}

const stepMs = 5000;

/** Returns the endpoint that the browser of `profile` wrote down when it began to listen. Throws `MeasureFailed`. */
export function debuggingEndpoint(profile: string): DebuggingEndpoint {
  let text: string;
  try {
    text = readFileSync(join(profile, "DevToolsActivePort"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new MeasureFailed("no-endpoint");
    throw error;
  }
  const [port, path] = text.split("\n");
  if (!/^\d+$/.test(port ?? "") || path === undefined || path === "") throw new MeasureFailed("no-endpoint");
  return { port: Number(port), path };
}

/**
 * Returns the endpoint of the browser that listens at `port`, and the browser's version. For a browser whose profile
 * another account owns. Throws `MeasureFailed` `timeout`, or the system's error where nothing listens.
 */
export async function endpointAt(port: number): Promise<DebuggingEndpoint & { readonly browser: string }> {
  const { Browser, webSocketDebuggerUrl } = (await getJson(port, "/json/version")) as {
    readonly Browser: string;
    readonly webSocketDebuggerUrl: string;
  };
  return { port, path: new URL(webSocketDebuggerUrl).pathname, browser: Browser };
}

/** Returns the browser's targets. A service worker stands there only while it is awake. */
export async function listTargets({ port }: DebuggingEndpoint): Promise<Target[]> {
  return (await getJson(port, "/json/list")) as Target[];
}

async function getJson(port: number, path: string): Promise<unknown> {
  const text = await new Promise<string>((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, path, agent: false, timeout: stepMs }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(body));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new MeasureFailed("timeout")));
    request.on("error", reject);
  });
  return JSON.parse(text);
}

/**
 * Opens `url` as a background page, evaluates `expression` in it (a promise is awaited), closes the page again and
 * returns the value. Only that page is attached to, never a service worker: a debugger would keep it awake.
 * Throws `MeasureFailed`: `timeout`, `devtools-closed`, `devtools-error`, `page-error` where the expression threw.
 */
export async function evaluateInPage(endpoint: DebuggingEndpoint, url: string, expression: string): Promise<unknown> {
  const socket = await openTextSocket(endpoint.port, endpoint.path, stepMs);
  try {
    const session = commandsOn(socket);
    const { targetId } = await session.send<{ targetId: string }>("Target.createTarget", { url, background: true });
    try {
      const { sessionId } = await session.send<{ sessionId: string }>("Target.attachToTarget", {
        targetId,
        flatten: true,
      });
      return await evaluateWhenLoaded(session, sessionId, url, expression);
    } finally {
      await session.send("Target.closeTarget", { targetId });
    }
  } finally {
    socket.close();
  }
}

interface Commands {
  send<T>(method: string, params: object, sessionId?: string): Promise<T>;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

function commandsOn(socket: TextSocket): Commands {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let lost: Error | undefined;
  const fail = (error: Error): void => {
    lost = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  socket.onClose(fail);
  socket.onMessage((text) => {
    const { id, result, error } = JSON.parse(text) as Answer;
    const asked = id === undefined ? undefined : waiting.get(id);
    if (id === undefined || asked === undefined) return;
    waiting.delete(id);
    if (error === undefined) asked.resolve(result);
    else asked.reject(new MeasureFailed("devtools-error", error.message));
  });

  let next = 0;
  return {
    send<T>(method: string, params: object, sessionId?: string): Promise<T> {
      if (lost !== undefined) return Promise.reject(lost);
      const id = ++next;
      const answer = new Promise<unknown>((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new MeasureFailed("timeout", `${method} was not answered`));
        }, stepMs);
        waiting.set(id, {
          resolve: (value) => {
            clearTimeout(timer);
            resolve(value);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
      });
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      return answer as Promise<T>;
    },
  };
}

interface Evaluated {
  readonly result: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly text: string };
}

/** The page's first document is an empty one: wait until the address is ours before asking anything. */
async function evaluateWhenLoaded(
  session: Commands,
  sessionId: string,
  url: string,
  expression: string,
): Promise<unknown> {
  const evaluate = (source: string): Promise<Evaluated> =>
    session.send<Evaluated>(
      "Runtime.evaluate",
      { expression: source, awaitPromise: true, returnByValue: true },
      sessionId,
    );
  const deadline = performance.now() + stepMs;
  for (;;) {
    const { result } = await evaluate("[location.href, document.readyState]");
    const [href, state] = Array.isArray(result.value) ? (result.value as unknown[]) : [];
    if (state === "complete" && href === url) break;
    if (state === "complete" && String(href).startsWith("chrome-error:")) throw new MeasureFailed("page-error");
    if (performance.now() > deadline) throw new MeasureFailed("timeout", `${url} did not load`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { result, exceptionDetails } = await evaluate(expression);
  if (exceptionDetails !== undefined) throw new MeasureFailed("page-error", exceptionDetails.text);
  return result.value;
}
