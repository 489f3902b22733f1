import { fileURLToPath } from "node:url";

/** The folder that the page is built into when nobody names another: what the collector serves. */
export const pageFolder = fileURLToPath(new URL("./dist/", import.meta.url));

/**
 * Builds the page into `outDir` (emptied first) and returns the names of the files written, relative to it, sorted.
 * Scripts, styles and the icon carry a hash of their content in their names, so they may be cached for ever;
 * `index.html` may not. Throws the bundler's error when a source does not build.
 */
export async function build({ outDir = pageFolder }: { readonly outDir?: string } = {}): Promise<readonly string[]> {
  // Loaded here because a host that serves a built page has no bundler installed.
  const [vite, { default: react }] = await Promise.all([import("vite"), import("@vitejs/plugin-react")]);
  // Vite and React's transform both look here, and a test runner's value would put the development React into the page.
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = "production";
  const result = await vite
    .build({
      configFile: false,
      root: fileURLToPath(new URL("./", import.meta.url)),
      base: "./",
      logLevel: "warn",
      publicDir: false,
      plugins: [react()],
      build: {
        outDir,
        emptyOutDir: true,
        target: "es2022",
        // Inlined files would be `data:` addresses, which the policy refuses.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        reportCompressedSize: false,
      },
    })
    .finally(() => {
      if (before === undefined) delete process.env.NODE_ENV;
      else process.env.NODE_ENV = before;
    });
  const outputs = Array.isArray(result) ? result : [result];
  return outputs
    .flatMap((output) => ("output" in output ? output.output.map((file) => file.fileName) : []))
    .sort((a, b) => a.localeCompare(b));
}
