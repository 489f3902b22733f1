import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { FastifyInstance } from "fastify";

/** The pages of the network's dashboard, as far as they are known: all of them one document that reads the JSON API. */
const paths = ["/", "/dashboard", "/dashboard/node", "/dashboard/referral", "/dashboard/setting", "/logout"] as const;

/** Returns `text` with the characters that HTML gives a meaning replaced by references. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Returns a page of one message, labelled *practice*; with `on` a link of these words that asks for the page again. */
export function messagePage(title: string, text: string, on?: string): string {
  const link = on === undefined ? "" : `<p><a href="">${escapeHtml(on)}</a></p>`;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)} (practice)</title><body><p>practice network</p><h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p>${link}</body></html>`;
}

/** Returns the policy that lets this document run its own script and style, and nothing else. */
function policyOf(html: string): string {
  const hashes = (tag: "script" | "style"): string =>
    [...html.matchAll(new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`, "g"))]
      .map(([, inner = ""]) => `'sha256-${createHash("sha256").update(inner).digest("base64")}'`)
      .join(" ");
  return `default-src 'none'; script-src ${hashes("script")}; style-src ${hashes("style")}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

/** Serves the dashboard's pages. */
export function servePages(app: FastifyInstance): void {
  const html = readFileSync(new URL("./dashboard.html", import.meta.url), "utf8");
  const policy = policyOf(html);
  for (const path of paths)
    app.get(path, (_request, reply) =>
      reply
        .type("text/html; charset=utf-8")
        .header("content-security-policy", policy)
        .header("cache-control", "no-store")
        .send(html),
    );
}
