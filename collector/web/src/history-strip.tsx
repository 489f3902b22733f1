import type { GapItem, NodeItem, StateItem } from "../../api/types.ts";
import { formatShare, gapStretches, type Stretch, sharesOf, stretchesOf } from "./strip.ts";
import { formatDuration, formatInstant } from "./time.ts";
import { layerNames, type Tone, toneWords } from "./tone.ts";

const toneOrder: readonly Tone[] = ["good", "warn", "bad", "noted", "unknown", "none"];

/**
 * The five layers of a node over `[from, to)` (epoch milliseconds) as bands, and below them what was not read. Each
 * tone has a pattern of its own beside its colour; every band says in words how long each value held.
 */
export function HistoryStrip({
  node,
  states,
  gaps,
  from,
  to,
}: {
  readonly node: NodeItem;
  readonly states: readonly StateItem[];
  readonly gaps: readonly GapItem[];
  readonly from: number;
  readonly to: number;
}) {
  const bands = layerNames.map((layer) => ({
    layer,
    name: node.layers[layer].name,
    stretches: stretchesOf(states, layer, from, to),
  }));
  const missing = gapStretches(gaps, from, to);
  const tones = toneOrder.filter((tone) => bands.some((band) => band.stretches.some((each) => each.tone === tone)));
  return (
    <div className="strip">
      <Patterns />
      <ul className="bands">
        {bands.map((band) => (
          <li key={band.layer} className="band">
            <span className="band-name">{band.name}</span>
            <BandPicture stretches={band.stretches} from={from} to={to} />
            <Shares stretches={band.stretches} />
          </li>
        ))}
        <li className="band band-gaps">
          <span className="band-name">not read</span>
          <BandPicture stretches={missing} from={from} to={to} />
          <span className="band-share">{missing.length === 0 ? "no gap" : counted(missing.length)}</span>
        </li>
      </ul>
      <p className="axis">
        <span>{formatInstant(from)}</span>
        <span>{formatInstant(to)}</span>
      </p>
      <ul className="legend" aria-label="What the patterns mean">
        {tones.map((tone) => (
          <li key={tone} className="legend-entry">
            <svg className={`swatch tone-${tone}`} aria-hidden="true" focusable="false">
              <Bar tone={tone} x="0" width="100%" />
            </svg>
            {toneWords[tone]}
          </li>
        ))}
        <li className="legend-entry">
          <svg className="swatch" aria-hidden="true" focusable="false">
            <line x1="0" x2="100%" y1="50%" y2="50%" className="no-record" />
          </svg>
          no record
        </li>
      </ul>
    </div>
  );
}

function BandPicture({
  stretches,
  from,
  to,
}: {
  readonly stretches: readonly Stretch[];
  readonly from: number;
  readonly to: number;
}) {
  const percent = (ms: number) => `${((ms / (to - from)) * 100).toFixed(3)}%`;
  return (
    <svg className="band-picture" aria-hidden="true" focusable="false">
      <line x1="0" x2="100%" y1="50%" y2="50%" className="no-record" />
      {stretches.map((stretch) => (
        <g key={stretch.from} className={`tone-${stretch.tone}`}>
          <title>
            {`${stretch.value}, ${formatInstant(stretch.from)} to ${formatInstant(stretch.to)} (${formatDuration(stretch.to - stretch.from)})${stretch.reason === "" ? "" : `: ${stretch.reason}`}`}
          </title>
          <Bar tone={stretch.tone} x={percent(stretch.from - from)} width={percent(stretch.to - stretch.from)} />
        </g>
      ))}
    </svg>
  );
}

function Bar({ tone, x, width }: { readonly tone: Tone; readonly x: string; readonly width: string }) {
  return (
    <>
      <rect x={x} width={width} y="0" height="100%" className="bar" />
      {tone !== "good" && <rect x={x} width={width} y="0" height="100%" fill={`url(#pattern-${tone})`} />}
    </>
  );
}

function Shares({ stretches }: { readonly stretches: readonly Stretch[] }) {
  const shares = sharesOf(stretches);
  const whole = shares.reduce((sum, share) => sum + share.ms, 0);
  return (
    <span className="band-share">
      {shares.length === 0
        ? "no record"
        : shares
            .slice(0, 3)
            .map((share) => `${share.value} ${formatShare(share.ms, whole)}`)
            .join(", ")}
    </span>
  );
}

/** The patterns that tell the tones apart without colour: hatched, crossed, barred, dotted. */
function Patterns() {
  return (
    <svg className="patterns" aria-hidden="true" focusable="false">
      <defs>
        <pattern id="pattern-warn" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <path d="M0 0v7" className="pattern-line" />
        </pattern>
        <pattern id="pattern-bad" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <path d="M0 0v7M0 0h7" className="pattern-line" />
        </pattern>
        <pattern id="pattern-noted" width="6" height="6" patternUnits="userSpaceOnUse">
          <path d="M0 0h6" className="pattern-line" />
        </pattern>
        <pattern id="pattern-unknown" width="6" height="6" patternUnits="userSpaceOnUse">
          <circle cx="2" cy="2" r="1.2" className="pattern-dot" />
        </pattern>
        <pattern id="pattern-none" width="10" height="10" patternUnits="userSpaceOnUse">
          <circle cx="5" cy="5" r="1" className="pattern-dot" />
        </pattern>
        <pattern id="pattern-off" width="10" height="10" patternUnits="userSpaceOnUse">
          <path d="M0 0v10" className="pattern-line" />
        </pattern>
      </defs>
    </svg>
  );
}

function counted(count: number): string {
  return `${count} ${count === 1 ? "gap" : "gaps"}`;
}
