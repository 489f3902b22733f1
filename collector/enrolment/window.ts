import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Page } from "playwright-core";
import { z } from "zod";

/** A page of a browser elsewhere, shown in the operator's own browser and used by the operator's hand. */
export interface ForwardedWindow {
  /** Known to whoever started it: the path is a random word. */
  readonly url: string;
  close(): Promise<void>;
}

/** What a hand did: a place is a share of the page's width and height. */
const Input = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("click"), x: z.number().min(0).max(1), y: z.number().min(0).max(1) }),
  z.strictObject({ kind: z.literal("move"), x: z.number().min(0).max(1), y: z.number().min(0).max(1) }),
  z.strictObject({ kind: z.literal("wheel"), dy: z.number().min(-5000).max(5000) }),
  z.strictObject({ kind: z.literal("key"), key: z.string().min(1).max(32) }),
]);
type Input = z.infer<typeof Input>;

const boundary = "frame";

/**
 * Shows the page at an address of this machine, as pictures that the browser itself sends, and hands clicks, keys and the
 * wheel to it, until it is closed. The address is on the loopback and its path is a word that cannot be guessed.
 */
export async function openWindow(page: Page): Promise<ForwardedWindow> {
  const word = randomBytes(24).toString("base64url");
  const session = await page.context().newCDPSession(page);
  const watching = new Set<ServerResponse>();
  let last: Buffer | undefined;
  let size = { width: 1280, height: 720 };
  const send = (to: ServerResponse, frame: Buffer): void => {
    to.write(`--${boundary}\r\nContent-Type: image/jpeg\r\nContent-Length: ${frame.length}\r\n\r\n`);
    to.write(frame);
    to.write("\r\n");
  };
  session.on("Page.screencastFrame", ({ data, sessionId, metadata }) => {
    last = Buffer.from(data, "base64");
    size = { width: metadata.deviceWidth, height: metadata.deviceHeight };
    for (const to of watching) send(to, last);
    // A page that was closed meanwhile has no more pictures to acknowledge.
    session.send("Page.screencastFrameAck", { sessionId }).catch(() => undefined);
  });

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const end = (status: number, type: string, body: string): void => {
      response.writeHead(status, {
        "content-type": type,
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": `default-src 'none'; img-src 'self'; connect-src 'self'; script-src 'nonce-${word}'; style-src 'nonce-${word}'; frame-ancestors 'none'`,
      });
      response.end(body);
    };
    switch (`${request.method} ${request.url}`) {
      case `GET /${word}/`:
        return end(200, "text/html; charset=utf-8", documentWith(word));
      case `GET /${word}/frames`:
        response.writeHead(200, {
          "content-type": `multipart/x-mixed-replace; boundary=${boundary}`,
          "cache-control": "no-store",
        });
        watching.add(response);
        request.once("close", () => watching.delete(response));
        // Twice: a browser shows a picture of such a stream when the next one begins.
        if (last !== undefined) for (const frame of [last, last]) send(response, frame);
        return;
      case `POST /${word}/input`: {
        const input = Input.safeParse(jsonIn(await text(request)));
        if (!input.success) return end(400, "text/plain", "That is no input.");
        await act(page, input.data, size);
        return end(204, "text/plain", "");
      }
      default:
        return end(404, "text/plain", "There is nothing here.");
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(500, { "content-type": "text/plain" });
      response.end(error instanceof Error ? error.message : String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await session.send("Page.startScreencast", { format: "jpeg", quality: 70, everyNthFrame: 1 });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${word}/`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      // The page may be gone by now, and the session with it.
      await session.detach().catch(() => undefined);
    },
  };
}

async function act(page: Page, input: Input, { width, height }: { width: number; height: number }): Promise<void> {
  switch (input.kind) {
    case "click":
      return await page.mouse.click(input.x * width, input.y * height);
    case "move":
      return await page.mouse.move(input.x * width, input.y * height);
    case "wheel":
      return await page.mouse.wheel(0, input.dy);
    case "key":
      // A character that no key of the layout has is inserted as it is.
      return await page.keyboard
        .press(input.key)
        .catch(() => (input.key.length <= 2 ? page.keyboard.insertText(input.key) : undefined));
    default:
      return input satisfies never;
  }
}

function jsonIn(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function documentWith(nonce: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The node's browser</title>
<style nonce="${nonce}">
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #e9ecef; }
p { margin: 0; padding: 0.5rem 1rem; }
img { display: block; max-width: 100%; background: #fff; cursor: crosshair; }
</style>
<p>This is a page in the node's browser. What you click and type here happens there. The window ends by itself when it is done.</p>
<img id="page" src="frames" alt="The page in the node's browser, as a picture" tabindex="0">
<script nonce="${nonce}">
const page = document.getElementById("page");
const tell = (input) => fetch("input", { method: "POST", body: JSON.stringify(input) });
const place = (event) => {
  const box = page.getBoundingClientRect();
  const share = (at, from, length) => Math.min(1, Math.max(0, (at - from) / length));
  return { x: share(event.clientX, box.left, box.width), y: share(event.clientY, box.top, box.height) };
};
let moved = 0;
page.addEventListener("click", (event) => { page.focus(); tell({ kind: "click", ...place(event) }); });
page.addEventListener("pointermove", (event) => {
  if (event.timeStamp - moved < 100) return;
  moved = event.timeStamp;
  tell({ kind: "move", ...place(event) });
});
page.addEventListener("wheel", (event) => { event.preventDefault(); tell({ kind: "wheel", dy: event.deltaY }); }, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  event.preventDefault();
  tell({ kind: "key", key: event.key });
});
</script>
</html>
`;
}
