// Preloaded into a measured program: writes its peak resident memory in bytes to the file named by PEAK_MEMORY_FILE.
const { readFileSync, writeFileSync } = require("node:fs");

process.on("exit", () => {
  const file = process.env.PEAK_MEMORY_FILE;
  if (!file) return;
  // What getrusage says begins at the size of the process that started this one.
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  writeFileSync(file, String(Number(kib) * 1024));
});
