const steps = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Returns a number of bytes in binary units, whole below a GiB and with one decimal from there on: `312 MiB`, `1.4 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (step < steps.length - 1 && Math.round(value) >= 1024) {
    value /= 1024;
    step += 1;
  }
  return `${step >= 3 ? value.toFixed(1) : Math.round(value)} ${steps[step]}`;
}
