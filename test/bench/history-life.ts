import { parentPort, workerData } from "node:worker_threads";
import { crc32c } from "../../cloud-init/agent/crc32c.ts";
import type { JournalLine } from "../../cloud-init/agent/line.ts";
import { watchedEvents } from "../../collector/alerts/rules.ts";
import { type Folded, type FoldMemory, foldLines, type LineRules } from "../../collector/states/lines.ts";
import { type Rollup, rollUp, rollupMs } from "../../collector/states/rollups.ts";
import { type Stretch, type Timeline, withChange } from "../../collector/states/timeline.ts";
import { journalBeginning, linkLine } from "../../collector/store/links.ts";
import { packLines } from "../../collector/store/pack.ts";
import { type LivedLine, nodeLife, randomFrom } from "../harness/node-life.ts";

/** The lives that a worker lives; each has one noise and the journals of the nodes that live it. */
export interface LivesOrder {
  readonly lives: readonly { readonly life: number; readonly journals: readonly string[] }[];
  readonly from: number;
  readonly everySeconds: number;
  readonly rules: LineRules;
  /** How far back a line may change what a layer was. */
  readonly lateMs: number;
}

/** What is asked of a worker: a life until an instant, which is a UTC midnight, as packs or as lines. */
export interface LifeAsked {
  readonly life: number;
  readonly until: number;
  readonly as: "packs" | "lines";
}

/** A row of `line_pack`. */
export interface LivedPack {
  readonly first: number;
  readonly last: number;
  readonly day: number;
  readonly fromAt: number;
  readonly toAt: number;
  readonly samples: number;
  readonly events: number;
  readonly chain: Uint8Array;
  readonly sampleLines: Uint8Array;
  readonly eventLines: Uint8Array;
}

/** What a life's stretch of time gives. Evidence names the journal of the life's first node. */
export interface LivedPart {
  readonly life: number;
  /** Day by day, of the life's first node: the others keep the same bytes. */
  readonly packs: readonly LivedPack[];
  /** Of each journal, where lines were asked for. */
  readonly lines: readonly (readonly string[])[];
  readonly hours: readonly Rollup[];
  readonly days: readonly Rollup[];
  /** Stretches of layers that ended, and those that last or ended less than `lateMs` before. */
  readonly ended: readonly LayerStretch[];
  readonly open: readonly LayerStretch[];
  readonly missing: Folded["missing"];
  readonly events: readonly { readonly at: string; readonly name: string; readonly n: number }[];
  readonly latest: Folded["latest"];
  readonly memory: FoldMemory | null;
  readonly identity: Folded["identities"][number] | null;
}

export interface LayerStretch extends Stretch {
  readonly layer: string;
}

const dayMs = rollupMs.day;

class Life {
  readonly #lines: Generator<LivedLine>;
  readonly #rules: LineRules;
  readonly #lateMs: number;
  readonly #journals: readonly string[];
  #chain: Uint8Array;
  readonly #timelines = new Map<string, Timeline>();
  #held: LivedLine | undefined;
  #day: number;
  #memory: FoldMemory | null = null;

  constructor(order: LivesOrder, life: number, journals: readonly string[]) {
    const [journal = ""] = journals;
    const { from, everySeconds } = order;
    this.#lines = nodeLife({ journal, from, everySeconds, random: randomFrom(life + 1) });
    this.#rules = order.rules;
    this.#lateMs = order.lateMs;
    this.#journals = journals;
    this.#chain = journalBeginning(journal);
    this.#day = Math.floor(from / dayMs) * dayMs;
  }

  live(life: number, until: number, as: LifeAsked["as"]): LivedPart {
    const [hours, days, missing, ended]: [Rollup[], Rollup[], Folded["missing"][number][], LayerStretch[]] = [
      [],
      [],
      [],
      [],
    ];
    const events: LivedPart["events"][number][] = [];
    const packs: LivedPack[] = [];
    const texts = this.#journals.map((): string[] => []);
    let latest: Folded["latest"] = null;
    let identity: LivedPart["identity"] = null;
    for (; this.#day < until; this.#day += dayMs) {
      const lived = this.#linesOfDay();
      if (as === "lines") {
        for (const [index, journal] of this.#journals.entries())
          for (const { text } of lived) texts[index]?.push(renamed(text, this.#journals[0] ?? "", journal));
        continue;
      }
      const lines = lived.map(({ line }) => line);
      hours.push(...rollUp(lines, rollupMs.hour));
      days.push(...rollUp(lines, rollupMs.day));
      const folded = foldLines(this.#memory, lines, this.#rules);
      this.#memory = folded.memory;
      latest = folded.latest ?? latest;
      identity ??= folded.identities[0] ?? null;
      missing.push(...folded.missing);
      for (const change of folded.changes) {
        this.#timelines.set(change.layer, withChange(this.#timelines.get(change.layer) ?? [], change));
      }
      const settled = this.#day + dayMs - this.#lateMs;
      for (const [layer, timeline] of this.#timelines) {
        const isSettled = ({ to }: Stretch): boolean => to !== null && to.getTime() <= settled;
        ended.push(...timeline.filter(isSettled).map((stretch) => ({ ...stretch, layer })));
        this.#timelines.set(
          layer,
          timeline.filter((stretch) => !isSettled(stretch)),
        );
      }
      for (const { n, at, event } of lines)
        if (event !== undefined && watchedEvents.includes(event.name)) events.push({ at, name: event.name, n });
      packs.push(this.#packed(lived));
    }
    const open = [...this.#timelines].flatMap(([layer, timeline]) => timeline.map((one) => ({ ...one, layer })));
    return {
      life,
      packs,
      lines: texts,
      hours,
      days,
      ended,
      open,
      missing,
      events,
      latest,
      memory: this.#memory,
      identity,
    };
  }

  #linesOfDay(): LivedLine[] {
    const end = this.#day + dayMs;
    const lines: LivedLine[] = [];
    for (;;) {
      const next: LivedLine = this.#held ?? (this.#lines.next().value as LivedLine);
      this.#held = undefined;
      if (Date.parse(next.line.at) >= end) {
        this.#held = next;
        return lines;
      }
      lines.push(next);
    }
  }

  #packed(lived: readonly LivedLine[]): LivedPack {
    const of = (kind: JournalLine["kind"]): Buffer => {
      const own = lived.filter(({ line }) => line.kind === kind);
      return own.length === 0 ? Buffer.alloc(0) : packLines(own.map(storedLine));
    };
    const [sampleLines, eventLines] = [of("sample"), of("event")];
    const instants = lived.map(({ line }) => Date.parse(line.at));
    const samples = lived.filter(({ line }) => line.kind === "sample").length;
    const same = {
      first: lived[0]?.n ?? 0,
      last: lived.at(-1)?.n ?? 0,
      day: this.#day,
      fromAt: Math.min(...instants),
      toAt: Math.max(...instants),
      samples,
      events: lived.length - samples,
    };
    this.#chain = lived.reduce((chain, { text }) => linkLine(chain, text), this.#chain);
    return { ...same, chain: this.#chain, sampleLines, eventLines };
  }
}

function storedLine({ n, line, text }: LivedLine) {
  return { n, at: Date.parse(line.at), boot: line.boot, monoMs: line.mono_ms, everyS: line.every_s, line: text };
}

const crcBytes = ',"crc":"00000000"}'.length;

/** Returns a line as another journal has it, under its own checksum. */
function renamed(text: string, from: string, to: string): string {
  const open = text.slice(0, -crcBytes).replaceAll(from, to);
  return `${open},"crc":"${crc32c(Buffer.from(open)).toString(16).padStart(8, "0")}"}`;
}

const order = workerData as LivesOrder;
const lives = new Map(order.lives.map(({ life, journals }) => [life, new Life(order, life, journals)]));
parentPort?.on("message", ({ life, until, as }: LifeAsked) => {
  parentPort?.postMessage(lives.get(life)?.live(life, until, as));
});
