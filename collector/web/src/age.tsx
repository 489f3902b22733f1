import { useSyncExternalStore } from "react";
import { onTick, tickedNow } from "./clock.ts";
import { formatAgo, formatDuration, formatInstant, instantOf } from "./time.ts";

/**
 * The age of an instant (RFC 3339), ticking: `12 s ago`, or as a length `for 12 s`; the absolute time in UTC is its
 * title. Redraws only when its words change. Where there is no instant it says `missing`.
 */
export function Age({
  at,
  as = "ago",
  missing = "not read yet",
}: {
  readonly at: string | null;
  readonly as?: "ago" | "for";
  readonly missing?: string;
}) {
  const instant = instantOf(at);
  const words = useSyncExternalStore(onTick, () => {
    if (instant === null) return missing;
    const now = tickedNow();
    return as === "ago" ? formatAgo(instant, now) : `for ${formatDuration(now - instant)}`;
  });
  if (instant === null) return <span className="missing">{words}</span>;
  return (
    <time dateTime={new Date(instant).toISOString()} title={formatInstant(instant)}>
      {words}
    </time>
  );
}
