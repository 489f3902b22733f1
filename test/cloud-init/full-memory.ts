import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMemory, writeMemory } from "../../cloud-init/agent/folder.ts";

/** Fills the disk that the folder lies on to the last block and goes on remembering; prints what is remembered then. */
const folder = process.argv[2] ?? "";
const [kept, fresh] = [join(folder, "kept.json"), join(folder, "fresh.json")];
writeMemory(kept, { count: 1, longer: "before" });
try {
  writeFileSync(join(folder, "ballast"), Buffer.alloc(64 * 1024 * 1024));
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
}
writeMemory(kept, { count: 2 });
const full = readMemory(kept);
writeMemory(kept, { text: "x".repeat(100_000) });
writeMemory(fresh, { count: 1 });
const [same, none] = [readMemory(kept), readMemory(fresh)];
writeFileSync(kept, readFileSync(kept, "utf8").slice(0, 5));
process.stdout.write(
  JSON.stringify({ full, same, none: none ?? null, torn: readMemory(kept) ?? null, files: readdirSync(folder).sort() }),
);
