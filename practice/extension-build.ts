import { copyFile, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the built extension lies when nobody names another folder. */
export const builtExtension = fileURLToPath(new URL("./bin/extension/", import.meta.url));

const source = fileURLToPath(new URL("./extension/", import.meta.url));
const scripts = ["service-worker", "popup"] as const;
const copied = ["manifest.json", "managed-schema.json", "settings.json", "popup.html", "popup.css"] as const;

/**
 * Builds the practice extension into `outDir`, in place of what lies there; a reader meets the old or the new one.
 * Throws the bundler's error when a source does not build.
 */
export async function buildExtension({ outDir = builtExtension }: { readonly outDir?: string } = {}): Promise<void> {
  // Loaded here because a host that runs a built practice network has no bundler installed.
  const { rolldown } = await import("rolldown");
  const target = resolve(outDir);
  await mkdir(dirname(target), { recursive: true });
  const work = await mkdtemp(join(dirname(target), ".extension-"));
  try {
    const made = join(work, "made");
    await mkdir(made);
    for (const name of scripts) {
      const bundle = await rolldown({ input: join(source, `${name}.ts`), platform: "browser" });
      await bundle.write({ file: join(made, `${name}.js`), format: "esm" });
      await bundle.close();
    }
    await Promise.all(copied.map((name) => copyFile(join(source, name), join(made, name))));
    await exchange(made, target, work);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Moves the folder `made` to `target`; two builds at once both succeed, and either one's result stays. */
async function exchange(made: string, target: string, work: string): Promise<void> {
  for (let old = 0; ; old++) {
    try {
      await rename(target, join(work, `old-${old}`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    try {
      await rename(made, target);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
}
