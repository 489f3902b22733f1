// Preloaded into a measured program: writes its peak resident memory in bytes to the file named by PEAK_MEMORY_FILE. Where
// PEAK_MEMORY_OF names a script, other programs that inherit this write nothing.
const { readFileSync, writeFileSync } = require("node:fs");

process.on("exit", () => {
  const { PEAK_MEMORY_FILE: file, PEAK_MEMORY_OF: script } = process.env;
  if (!file || (script && !script.startsWith(process.argv[1] ?? " "))) return;
  // What getrusage says begins at the size of the process that started this one.
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  writeFileSync(file, String(Number(kib) * 1024));
});
