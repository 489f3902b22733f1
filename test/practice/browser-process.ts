import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findIsolation, isolatedCommand } from "../../infra/isolation.ts";
import type { ServiceInfo } from "../../practice/service-info.ts";
import { eventually, readIfThere } from "./network-process.ts";

/** The browser that stands on PATH. */
export const browser = "chromium";

/** A browser by where its debugging endpoint listens. */
export interface Debuggable {
  readonly debugging: string;
}

/** A real browser with the practice extension, in a profile that outlives it. */
export interface BrowserProcess extends Debuggable {
  readonly process: ChildProcess;
}

export type PackedExtension = ServiceInfo["extension"];

/**
 * Starts the browser with its profile in `folder`. The extension is installed by policy in a mount namespace of its
 * own, so that no other browser sees it; where none can be had, it is loaded as a folder.
 */
export async function startBrowser(
  folder: string,
  extension: PackedExtension,
  settings: { readonly origin: string; readonly enrolCode: string },
): Promise<BrowserProcess> {
  const isolation = await findIsolation();
  const profile = join(folder, "profile");
  const words = [
    browser,
    "--headless=new",
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    `--user-data-dir=${profile}`,
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
  ];
  if (isolation.mount) await writePolicies(folder, extension, settings);
  else words.push(`--load-extension=${await unpackedWith(folder, extension, settings)}`);
  const [program = "", ...rest] = await isolatedCommand({
    isolation,
    folder,
    mounts: [{ from: join(folder, "policies"), to: "/etc/chromium/policies" }],
    accounts: [],
    account: null,
    argv: [...words, "about:blank"],
  });
  const port = join(profile, "DevToolsActivePort");
  const before = await readIfThere(port);
  const child = spawn(program, rest, { stdio: "ignore", detached: true });
  const text = await eventually(
    "the browser",
    async () => {
      if (child.exitCode !== null) throw new Error(`The browser ended with ${child.exitCode}.`);
      const found = await readIfThere(port);
      return found === before || found === "" ? undefined : found;
    },
    60,
  );
  return { process: child, debugging: `http://127.0.0.1:${text.split("\n")[0]}` };
}

/** Kills the browser and all its processes, as the end of a node does. */
export async function killBrowser({ process: child }: BrowserProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  process.kill(-child.pid, "SIGKILL");
  await ended;
}

async function writePolicies(
  folder: string,
  { id, version, crx }: PackedExtension,
  settings: { readonly origin: string; readonly enrolCode: string },
): Promise<void> {
  const updates = join(folder, "updates.xml");
  await writeFile(
    updates,
    `<?xml version="1.0" encoding="UTF-8"?><gupdate xmlns="http://www.google.com/update2/response" protocol="2.0"><app appid="${id}"><updatecheck codebase="${pathToFileURL(crx)}" version="${version}"/></app></gupdate>`,
  );
  await mkdir(join(folder, "policies", "managed"), { recursive: true });
  const policy = {
    ExtensionInstallForcelist: [`${id};${pathToFileURL(updates)}`],
    DeveloperToolsAvailability: 1,
    "3rdparty": { extensions: { [id]: settings } },
  };
  await writeFile(join(folder, "policies", "managed", "practice.json"), JSON.stringify(policy));
}

async function unpackedWith(
  folder: string,
  extension: PackedExtension,
  settings: { readonly origin: string; readonly enrolCode: string },
): Promise<string> {
  const unpacked = join(folder, "extension");
  await cp(extension.folder, unpacked, { recursive: true });
  await writeFile(join(unpacked, "settings.json"), JSON.stringify(settings));
  return unpacked;
}

interface Target {
  readonly id: string;
  readonly type: string;
  readonly url: string;
  readonly webSocketDebuggerUrl: string;
}

/** What the debugging endpoint lists, without attaching to any of it. */
export async function targets({ debugging }: BrowserProcess): Promise<readonly Target[]> {
  return (await (await fetch(`${debugging}/json/list`)).json()) as Target[];
}

/**
 * Opens the page, evaluates the expression in it until that gives something, closes the page, or keeps it open where
 * `keep` is given, and returns the value.
 */
export function inPage<T>(browserProcess: Debuggable, url: string, expression: string, keep?: "keep"): Promise<T> {
  const evaluate = (send: Send): Promise<T> =>
    eventually(`${expression} in ${url}`, async () => {
      const params = { expression, awaitPromise: true, returnByValue: true };
      const { result } = (await send("Runtime.evaluate", params)) as { result?: { value?: T } };
      return result?.value;
    });
  return withPage(browserProcess, url, evaluate, keep);
}

/** Puts every service worker to sleep, as the browser does with one that has nothing to do. */
export function stopWorkers(browserProcess: BrowserProcess, url: string): Promise<void> {
  return withPage(browserProcess, url, async (send) => {
    await send("ServiceWorker.enable", {});
    await send("ServiceWorker.stopAllWorkers", {});
    await eventually("the workers' sleep", async () =>
      (await targets(browserProcess)).some(({ type }) => type === "service_worker") ? undefined : true,
    );
  });
}

type Send = (method: string, params: object) => Promise<unknown>;

async function withPage<T>(
  { debugging }: Debuggable,
  url: string,
  work: (send: Send) => Promise<T>,
  keep?: "keep",
): Promise<T> {
  const opened = await fetch(`${debugging}/json/new?${encodeURIComponent(url)}`, { method: "PUT" });
  const target = (await opened.json()) as Target;
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", reject, { once: true });
  });
  let last = 0;
  const send: Send = (method, params) => {
    last += 1;
    const id = last;
    return new Promise((resolve, reject) => {
      const listen = ({ data }: MessageEvent): void => {
        const answer = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: { message: string } };
        if (answer.id !== id) return;
        socket.removeEventListener("message", listen);
        if (answer.error === undefined) resolve(answer.result);
        else reject(new Error(`${method}: ${answer.error.message}`));
      };
      socket.addEventListener("message", listen);
      socket.send(JSON.stringify({ id, method, params }));
    });
  };
  try {
    return await work(send);
  } finally {
    socket.close();
    if (keep === undefined) await fetch(`${debugging}/json/close/${target.id}`);
  }
}
