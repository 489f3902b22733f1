import { type ReactNode, useState } from "react";
import type { NodeItem } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { standingOf } from "./fleet.ts";
import { HistoryStrip } from "./history-strip.tsx";
import { eventText } from "./journal-event.ts";
import { LayerState } from "./layer-cell.tsx";
import { Mark } from "./mark.tsx";
import { NetworkId } from "./network-id.tsx";
import { type NodeHistory, useNodeHistory } from "./node-history.ts";
import { FailureNotice } from "./notice.tsx";
import { formatDuration, instantOf } from "./time.ts";
import { layerNames, valueTone } from "./tone.ts";
import { Memory, NetworkName, Points, PracticeNote, Restarts } from "./values.tsx";

const hour = 3_600_000;
const windows = [
  { words: "1 hour", ms: hour },
  { words: "6 hours", ms: 6 * hour },
  { words: "24 hours", ms: 24 * hour },
  { words: "7 days", ms: 168 * hour },
] as const;

const shownAtFirst = 10;

/** One node: its layers now, what it is, its history as a strip, its changes, journal events and gaps. */
export function NodeView({ node }: { readonly node: NodeItem }) {
  const [windowMs, setWindow] = useState<number>(hour);
  const { history, failure } = useNodeHistory(node, windowMs);
  const standing = standingOf(node);
  return (
    <article className="detail" aria-labelledby="node-heading">
      <p className="back">
        <a href="#/">← All nodes</a>
      </p>
      <div className="detail-head">
        <h2 id="node-heading" tabIndex={-1}>
          {node.key}
        </h2>
        {node.label !== null && node.label !== "" && <span className="detail-label">{node.label}</span>}
        {standing === "off" && <span className="tag">planned off</span>}
        {node.gone && (
          <span className="tag">
            gone <Age at={node.goneAt} missing="" />
          </span>
        )}
      </div>
      {node.practice && <PracticeNote />}

      <ol className="chain" aria-label="Layers, each resting on the one before it">
        {layerNames.map((layer) => (
          <li key={layer} className="chain-link">
            <span className="chain-name">{node.layers[layer].name}</span>
            <LayerState layer={layer} node={node} />
          </li>
        ))}
      </ol>

      <dl className="facts">
        <Fact name="Points so far">
          <Points node={node} />
        </Fact>
        <Fact name="Last sample">
          <Age at={node.lastSampleAt} missing="none yet" />
        </Fact>
        <Fact name="Memory">
          <Memory node={node} />
          <span className="line">
            <Restarts node={node} />
          </span>
        </Fact>
        <Fact name="Runs">
          {node.workload}
          <span className="line">
            {node.provider} · {node.region}
          </span>
        </Fact>
        <Fact name="Network">
          {node.network === null ? (
            <span className="missing">no network</span>
          ) : (
            <NetworkName name={node.network} practice={node.practice} />
          )}
          {node.network !== null && (
            <span className="line">
              <NetworkId id={node.networkNodeId} whole />
            </span>
          )}
        </Fact>
      </dl>

      <section aria-labelledby="history-heading">
        <div className="section-head">
          <h3 id="history-heading">History</h3>
          <fieldset className="windows">
            <legend className="unseen">How far back</legend>
            {windows.map(({ words, ms }) => (
              <label key={ms}>
                <input type="radio" name="window" checked={windowMs === ms} onChange={() => setWindow(ms)} />
                <span>{words}</span>
              </label>
            ))}
          </fieldset>
        </div>
        {failure !== null && <FailureNotice failure={failure} readAt={history?.to ?? null} onRetry={null} />}
        {history === null ? (
          failure === null && <p className="waiting">Reading the history…</p>
        ) : (
          <HistoryStrip node={node} states={history.states} gaps={history.gaps} from={history.from} to={history.to} />
        )}
      </section>

      {history !== null && (
        <div className="columns">
          <Changes node={node} history={history} />
          <Events history={history} />
          <Gaps history={history} />
        </div>
      )}
    </article>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Changes({ node, history }: { readonly node: NodeItem; readonly history: NodeHistory }) {
  const changes = newestFirst(history.states, (state) => state.from);
  return (
    <Log
      id="changes"
      title="Changes"
      none="None in this time."
      entries={changes.map((state) => {
        const tone = valueTone(state.layer, state.value, state.class);
        return {
          key: `${state.layer} ${state.from}`,
          at: state.from,
          what: (
            <>
              {node.layers[state.layer].name}
              <span className="log-value">
                <Mark tone={tone} /> {state.value}
              </span>
            </>
          ),
          more: state.reason,
        };
      })}
    />
  );
}

function Events({ history }: { readonly history: NodeHistory }) {
  const events = newestFirst(history.events, (item) => item.at);
  return (
    <Log
      id="events"
      title="Journal events"
      none="None read yet."
      entries={events.flatMap((item) => {
        const text = eventText(item);
        if (text === null) return [];
        return [{ key: `${item.journal} ${item.n}`, at: item.at, what: text.name, more: text.details }];
      })}
    />
  );
}

function Gaps({ history }: { readonly history: NodeHistory }) {
  const gaps = newestFirst(history.gaps, (gap) => gap.from);
  return (
    <Log
      id="gaps"
      title="Gaps"
      none="None: everything was read."
      entries={gaps.map((gap) => {
        const from = instantOf(gap.from);
        const to = instantOf(gap.to);
        const length = from === null || to === null ? "until now" : `for ${formatDuration(to - from)}`;
        return { key: gap.id, at: gap.from, what: `${gap.kind} ${length}`, more: gap.reason };
      })}
    />
  );
}

interface LogEntry {
  readonly key: string;
  readonly at: string;
  readonly what: ReactNode;
  readonly more: string;
}

function Log({
  id,
  title,
  none,
  entries,
}: {
  readonly id: string;
  readonly title: string;
  readonly none: string;
  readonly entries: readonly LogEntry[];
}) {
  const older = entries.slice(shownAtFirst);
  return (
    <section aria-labelledby={`${id}-heading`}>
      <h3 id={`${id}-heading`}>{title}</h3>
      {entries.length === 0 && <p className="missing">{none}</p>}
      <LogEntries entries={entries.slice(0, shownAtFirst)} />
      {older.length > 0 && (
        <details>
          <summary>{older.length} older</summary>
          <LogEntries entries={older} />
        </details>
      )}
    </section>
  );
}

function LogEntries({ entries }: { readonly entries: readonly LogEntry[] }) {
  return (
    <ol className="log">
      {entries.map((entry) => (
        <li key={entry.key} className="log-entry">
          <Age at={entry.at} />
          <div className="log-what">
            {entry.what}
            {entry.more !== "" && <span className="line">{entry.more}</span>}
          </div>
        </li>
      ))}
    </ol>
  );
}

function newestFirst<Item>(items: readonly Item[], at: (item: Item) => string): readonly Item[] {
  return items.toSorted((a, b) => (instantOf(at(b)) ?? 0) - (instantOf(at(a)) ?? 0));
}
