/** Instants and months in UTC. Ranges are half-open. */

const hourMs = 3_600_000;

/** The hours of the longest month: what costs no more than a budget in it does so in every month. */
export const longestMonthHours = 744;

/** Returns the first instant of the month of `at`, or of the month that many months later. */
export function monthStart(at: Date, later = 0): Date {
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later, 1));
}

/** Returns the hours of the month of `at`: 672 to 744. */
export function monthHours(at: Date): number {
  return hoursBetween(monthStart(at), monthStart(at, 1));
}

/** Returns the hours from one instant to another, begun hours counted as whole ones; 0 where there are none. */
export function hoursBetween(from: Date, to: Date): number {
  return Math.max(0, Math.ceil((to.getTime() - from.getTime()) / hourMs));
}

/** Returns the whole days from one instant to another, rounded down. */
export function daysBetween(from: Date, to: Date): number {
  return Math.floor((to.getTime() - from.getTime()) / (24 * hourMs));
}

/** Returns the instant that many months after a date, on the month's last day where the month has no such day. */
export function monthsAfter(date: Date, months: number): Date {
  const first = monthStart(date, months);
  const lastDay = (monthStart(first, 1).getTime() - first.getTime()) / (24 * hourMs);
  return new Date(first.getTime() + (Math.min(date.getUTCDate(), lastDay) - 1) * 24 * hourMs);
}

/** Returns the date of an instant, as `YYYY-MM-DD`. */
export function dateOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}
