import { Age } from "./age.tsx";
import type { Failure } from "./live-state.ts";
import { Mark } from "./mark.tsx";

/**
 * A failure: what happened, what to do, its code, and where `onRetry` is given a button that tries again. `readAt` (epoch milliseconds) says how
 * old what is still shown is; null where nothing is.
 */
export function FailureNotice({
  failure,
  readAt,
  onRetry,
}: {
  readonly failure: Failure;
  readonly readAt: number | null;
  readonly onRetry: (() => void) | null;
}) {
  return (
    <div className="notice">
      <Mark tone="warn" />
      <div>
        <p className="notice-message" role="alert">
          {failure.message}
        </p>
        <p>{failure.fix}</p>
        <p className="notice-code">
          {readAt !== null && (
            <>
              What stands below was read <Age at={new Date(readAt).toISOString()} />.{" "}
            </>
          )}
          Code <code>{failure.code}</code>. The page tries again by itself.
        </p>
      </div>
      {onRetry !== null && (
        <button type="button" className="plain" onClick={onRetry}>
          Try now
        </button>
      )}
    </div>
  );
}
