// Preloaded into a measured program: writes its peak resident memory in bytes to the file named by PEAK_MEMORY_FILE.
const { writeFileSync } = require("node:fs");

process.on("exit", () => {
  if (process.env.PEAK_MEMORY_FILE)
    writeFileSync(process.env.PEAK_MEMORY_FILE, String(process.resourceUsage().maxRSS * 1024));
});
