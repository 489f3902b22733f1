/**
 * Returns how long to wait (milliseconds) before try number `attempt` (1, 2, 3...): exponential from one second to half
 * a minute, spread by `random` (0 to 1) over the upper half, so that many pages do not come back at the same instant.
 */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(30_000, 1000 * 2 ** Math.min(attempt - 1, 5));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
