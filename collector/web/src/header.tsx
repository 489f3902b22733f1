import icon from "../icon.svg";
import { Age } from "./age.tsx";
import type { Connection } from "./live-state.ts";
import { Mark } from "./mark.tsx";
import { formatInstant } from "./time.ts";

/** The page's head: whose page it is, how it hears of changes, and when it last did. */
export function Header({
  connection,
  failing,
  updatedAt,
}: {
  readonly connection: Connection;
  /** True while what the page asks for is not answered. */
  readonly failing: boolean;
  readonly updatedAt: number | null;
}) {
  return (
    <header className="top">
      <a href="#/" className="brand">
        <img src={icon} alt="" width="36" height="36" />
        <h1>GradientLab</h1>
      </a>
      <p className="connection">
        <span className="connection-state">
          <ConnectionWords connection={connection} failing={failing} />
        </span>
        <span className="second">
          last update <Age at={updatedAt === null ? null : new Date(updatedAt).toISOString()} missing="not yet" />
        </span>
      </p>
    </header>
  );
}

function ConnectionWords({ connection, failing }: { readonly connection: Connection; readonly failing: boolean }) {
  switch (connection.kind) {
    case "connecting":
      return (
        <>
          <Mark tone="unknown" /> Connecting
        </>
      );
    case "live":
      return (
        <>
          <Mark tone={failing ? "warn" : "good"} />
          <span title={`since ${formatInstant(connection.since)}`}>{failing ? "Not up to date" : "Live"}</span>
        </>
      );
    case "reconnecting":
      return (
        <>
          <Mark tone="warn" /> Reconnecting since {formatInstant(connection.since).slice(11)}
        </>
      );
  }
}
