import type { AlertItem } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { sortAlerts, toneOf } from "./alerts.ts";
import { acknowledge } from "./api.ts";
import { Mark } from "./mark.tsx";
import { useRefusal } from "./refusal.tsx";

// More of one rule than this stand behind a line that counts them.
const openAtMost = 3;

/** What somebody should know of, and a button that says that somebody sees to it; nothing where there is nothing. */
export function AlertList({ alerts }: { readonly alerts: readonly AlertItem[] }) {
  const [refusal, attempt] = useRefusal();
  if (alerts.length === 0) return null;
  const { groups, acknowledged } = sortAlerts(alerts);

  const seeTo = (seen: readonly AlertItem[]) => attempt(() => Promise.all(seen.map(({ id }) => acknowledge(id))));

  return (
    <section className="alerts" aria-labelledby="alerts">
      <h2 id="alerts">
        Alerts <span className="heading-note">{counted(alerts.length - acknowledged.length, acknowledged.length)}</span>
      </h2>
      {refusal}
      <ul className="panel">
        {groups.map(({ rule, tone, alerts: own }) =>
          own.length <= openAtMost ? (
            own.map((alert) => <Alert key={alert.id} alert={alert} onSeen={() => seeTo([alert])} />)
          ) : (
            <li key={rule} className={`alert tone-${tone}`}>
              <Mark tone={tone} />
              <details>
                <summary>
                  {own.length} alerts of the rule {rule}, the first {own[0] !== undefined && <Age at={own[0].since} />}
                </summary>
                <ul>
                  {own.map((alert) => (
                    <Alert key={alert.id} alert={alert} onSeen={() => seeTo([alert])} />
                  ))}
                </ul>
              </details>
              <button type="button" className="plain" onClick={() => seeTo(own)}>
                Acknowledge all {own.length}
              </button>
            </li>
          ),
        )}
        {acknowledged.length > 0 && (
          <li className="alert tone-none">
            <Mark tone="none" />
            <details>
              <summary>{acknowledged.length} that somebody sees to</summary>
              <ul>
                {acknowledged.map((alert) => (
                  <Alert key={alert.id} alert={alert} onSeen={null} />
                ))}
              </ul>
            </details>
          </li>
        )}
      </ul>
    </section>
  );
}

function Alert({ alert, onSeen }: { readonly alert: AlertItem; readonly onSeen: (() => void) | null }) {
  return (
    <li className={`alert tone-${toneOf(alert)}`}>
      <Mark tone={toneOf(alert)} />
      <div>
        <p className="alert-summary">
          <span className="unseen">{alert.severity}: </span>
          {alert.summary}
        </p>
        <p className="second">
          {alert.fix} <Age at={alert.openedAt} />
          {alert.acknowledgedAt !== null && (
            <>
              , acknowledged <Age at={alert.acknowledgedAt} />
            </>
          )}
        </p>
      </div>
      {onSeen !== null && (
        <button type="button" className="plain" aria-label={`Acknowledge: ${alert.summary}`} onClick={onSeen}>
          Acknowledge
        </button>
      )}
    </li>
  );
}

function counted(waiting: number, acknowledged: number): string {
  return acknowledged === 0 ? `${waiting} open` : `${waiting} open, ${acknowledged} acknowledged`;
}
