/** Returns the live slots of a group: the `count` smallest integers at or above 0 that are not retired, ascending. */
export function liveSlots(count: number, retired: readonly number[]): number[] {
  const gone = new Set(retired);
  const slots: number[] = [];
  for (let slot = 0; slots.length < count; slot++) if (!gone.has(slot)) slots.push(slot);
  return slots;
}
