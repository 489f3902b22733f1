import type { NodeItem } from "../../api/types.ts";
import { countStandings, type Standing, type View } from "./fleet.ts";
import { Mark } from "./mark.tsx";
import type { Tone } from "./tone.ts";

const tiles = [
  { standing: "up", words: "up", tone: "good" },
  { standing: "trouble", words: "with trouble", tone: "bad" },
  { standing: "unknown", words: "not known yet", tone: "unknown" },
  { standing: "off", words: "planned off", tone: "off" },
] as const satisfies readonly { standing: Standing; words: string; tone: Tone }[];

/** How many nodes stand where, large enough for the far side of a room. Each number shows only those nodes when pressed. */
export function Counts({
  nodes,
  standing,
  onStanding,
}: {
  readonly nodes: readonly NodeItem[] | null;
  readonly standing: View["standing"];
  readonly onStanding: (standing: View["standing"]) => void;
}) {
  const counts = nodes === null ? null : countStandings(nodes);
  return (
    <fieldset className="counts">
      <legend className="unseen">Show only the nodes that are</legend>
      {tiles.map((tile) => {
        const count = counts?.[tile.standing];
        return (
          <button
            key={tile.standing}
            type="button"
            className={`count tone-${count === 0 ? "none" : tile.tone}`}
            aria-pressed={standing === tile.standing}
            onClick={() => onStanding(standing === tile.standing ? "all" : tile.standing)}
          >
            <span className="count-number">{count ?? "–"}</span>
            <span className="count-words">
              <Mark tone={tile.tone} />
              {tile.words}
            </span>
          </button>
        );
      })}
    </fieldset>
  );
}
