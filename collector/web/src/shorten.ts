/** Returns `id` short enough for a table, both ends kept: `7f3a1c…9e02`. An id of up to twelve characters stays whole. */
export function shortenId(id: string): string {
  return id.length <= 12 ? id : `${id.slice(0, 6)}…${id.slice(-4)}`;
}
