import { upgradeEmbedded } from "../../../collector/store/upgrade.ts";

/** Upgrades the embedded database in a folder and tells its parent of each step: what a test kills half-way. */
const [directory = "", native = ""] = process.argv.slice(2);
const order = { directory, release: "0.0.0", now: new Date(0), binaries: async () => native };
await upgradeEmbedded(
  order,
  () => undefined,
  (text) => void process.send?.(text),
);
process.disconnect();
