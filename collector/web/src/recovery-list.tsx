import type { ReactNode } from "react";
import type { RecoveryAction, RecoveryState } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { brakeRecovery } from "./api.ts";
import { Mark } from "./mark.tsx";
import { type Recovery, wordsOf } from "./recovery.ts";
import { useRefusal } from "./refusal.tsx";
import { hashOf } from "./route.ts";

const openAtMost = 3;

/**
 * What is done for nodes in trouble: the brake with its button, the nodes with what is waited for, the newest actions.
 * Nothing where there is nothing. `whole`: of the fleet, and not of one node.
 */
export function RecoveryList({ recovery, whole }: { readonly recovery: Recovery; readonly whole: boolean }) {
  const [refusal, attempt] = useRefusal();
  const { state, actions } = recovery;
  const { brake, nodes } = state;
  if (brake === null && nodes.length === 0 && actions.length === 0) return null;

  const say = (what: "pause" | "release") => attempt(() => brakeRecovery(what));

  return (
    <section className="alerts" aria-labelledby="recovery">
      <h2 id="recovery">
        Repairs <span className="heading-note">{counted(state)}</span>
      </h2>
      {refusal}
      <ul className="panel">
        {brake !== null && <Brake brake={brake} onRelease={() => say("release")} />}
        {nodes.slice(0, openAtMost).map((node) => (
          <Trouble key={node.node} trouble={node} linked={whole} />
        ))}
        {nodes.length > openAtMost && (
          <Folded words={`${nodes.length - openAtMost} more nodes in trouble`}>
            {nodes.slice(openAtMost).map((node) => (
              <Trouble key={node.node} trouble={node} linked={whole} />
            ))}
          </Folded>
        )}
        {actions.length > 0 && (
          <Folded words={`${actions.length === 1 ? "The last action" : `The last ${actions.length} actions`}`}>
            {actions.map((action) => (
              <Action key={action.id} action={action} linked={whole} />
            ))}
          </Folded>
        )}
        {brake === null && whole && (
          <li className="alert tone-none">
            <Mark tone="none" />
            <div>
              <p className="second">Nodes in trouble are repaired by themselves, within limits.</p>
            </div>
            <button type="button" className="plain" onClick={() => say("pause")}>
              Pause all repairs
            </button>
          </li>
        )}
      </ul>
    </section>
  );
}

function Brake({
  brake,
  onRelease,
}: {
  readonly brake: NonNullable<RecoveryState["brake"]>;
  readonly onRelease: () => void;
}) {
  return (
    <li className="alert tone-warn">
      <Mark tone="warn" />
      <div>
        <p className="alert-summary">No node is repaired: {brake.reason}</p>
        <p className="second">
          {brake.cause === "fleet" ? "The brake was set by itself" : "The brake was set by hand"}{" "}
          <Age at={brake.since} />.
        </p>
      </div>
      <button type="button" className="plain" onClick={onRelease}>
        Release the brake
      </button>
    </li>
  );
}

function Trouble({ trouble, linked }: { readonly trouble: RecoveryState["nodes"][number]; readonly linked: boolean }) {
  const tone = trouble.wellSince === null ? "warn" : "good";
  return (
    <li className={`alert tone-${tone}`}>
      <Mark tone={tone} />
      <div>
        <p className="alert-summary">
          <NodeName node={trouble.node} linked={linked} />: {trouble.wellSince !== null && "well again, after "}
          {trouble.reason}
        </p>
        <p className="second">
          {trouble.standing} In trouble <Age at={trouble.since} as="for" />
          {trouble.wellSince !== null && (
            <>
              , well <Age at={trouble.wellSince} as="for" />
            </>
          )}
          .
        </p>
      </div>
    </li>
  );
}

function Action({ action, linked }: { readonly action: RecoveryAction; readonly linked: boolean }) {
  const { what, became, tone } = wordsOf(action);
  return (
    <li className={`alert tone-${tone}`}>
      <Mark tone={tone} />
      <div>
        <p className="alert-summary">
          <NodeName node={action.node} linked={linked} />: {what}, {became}
        </p>
        <p className="second">
          <Age at={action.decidedAt} />, because of {action.reason}
          {saidOf(action)}
        </p>
      </div>
    </li>
  );
}

/** A proposal is sentences of its own; what a node or the collector says of an action ends ours. */
function saidOf({ outcome, detail }: RecoveryAction): string {
  if (detail === null) return ".";
  return outcome === "proposed" ? `. ${detail}` : `; ${detail.replace(/\.$/, "")}.`;
}

function NodeName({ node, linked }: { readonly node: string; readonly linked: boolean }) {
  return linked ? <a href={hashOf({ view: "node", key: node })}>{node}</a> : node;
}

function Folded({ words, children }: { readonly words: string; readonly children: ReactNode }) {
  return (
    <li className="alert tone-none">
      <Mark tone="none" />
      <details>
        <summary>{words}</summary>
        <ul>{children}</ul>
      </details>
    </li>
  );
}

function counted({ brake, nodes }: RecoveryState): string {
  const failing = nodes.filter(({ wellSince }) => wellSince === null).length;
  return `${failing} in trouble${brake === null ? "" : ", brake set"}`;
}
