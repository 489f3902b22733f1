import {
  type Decision,
  decide,
  type Episode,
  type NodeCase,
  type PastAction,
  type RecoveryPicture,
} from "../../../collector/recovery/ladder.ts";
import type { Outcome, Rung } from "../../../collector/recovery/rungs.ts";
import { type RecoverySettings, usualRecovery } from "../../../collector/recovery/settings.ts";
import type { LayerNow, LayersNow } from "../../../collector/recovery/trouble.ts";

/** A layer that stands since `since` by a line of the node's journal. */
export function layer(value: string, since: Date, other: Partial<LayerNow> = {}): LayerNow {
  const reason = value === "up" ? "runs" : "exit-1";
  return { value, class: null, reason, since, evidence: { kind: "line", journal: "j", n: 1 }, ...other };
}

/** Layers of a node that is well and that its network calls good. */
export function wellLayers(since: Date): LayersNow {
  const verdict = layer("Good", since, { class: "good", evidence: { kind: "reading", reading: "1" } });
  return { machine: layer("up", since), runtime: layer("up", since), app: layer("up", since), verdict };
}

/** An action that was done, as the model keeps it. */
export interface DoneAction {
  readonly node: string;
  readonly rung: Rung;
  readonly at: number;
  readonly trouble: string;
  endedAt: Date | null;
  outcome: Outcome | null;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** A fleet as the store keeps it, for decisions without a store: what is decided is done to it at once. */
export function modelFleet(keys: readonly string[], settings: RecoverySettings = usualRecovery, start = 0) {
  let now = new Date(start);
  let brake: RecoveryPicture["brake"] = null;
  let releasedAt: Date | null = null;
  let episodes = 0;
  const done: DoneAction[] = [];
  const closed: { readonly node: string; readonly outcome: string }[] = [];
  const brakes: Decision["brake"][] = [];
  const nodes = new Map<string, Mutable<NodeCase>>(
    keys.map((key, id) => [
      key,
      {
        id,
        key,
        group: key.split("/")[0] ?? "",
        machineId: `m-${key}`,
        power: "on",
        gone: false,
        account: null,
        layers: wellLayers(now),
        episode: null,
      },
    ]),
  );
  const nodeOf = (key: string): Mutable<NodeCase> => {
    const node = nodes.get(key);
    if (node === undefined) throw new Error(`there is no ${key}`);
    return node;
  };
  const past = (action: DoneAction): PastAction => ({
    rung: action.rung,
    decidedAt: new Date(action.at),
    endedAt: action.endedAt,
    outcome: action.outcome,
  });
  const ofEpisode = new Map<string, DoneAction[]>();
  const endOpen = (list: readonly DoneAction[]): void => {
    for (const action of list) {
      if (action.endedAt !== null) continue;
      action.endedAt = now;
      action.outcome = "withdrawn";
    }
  };
  const look = (): Decision => {
    const decision = decide(
      {
        nodes: [...nodes.values()].map((node) => ({
          ...node,
          episode:
            node.episode === null
              ? null
              : { ...node.episode, actions: (ofEpisode.get(node.episode.id) ?? []).map(past) },
        })),
        actions: done.flatMap((action) =>
          action.rung === "rebuild" ? [] : [{ ...past(action), nodeId: nodeOf(action.node).id }],
        ),
        brake,
        releasedAt,
        watchedSince: new Date(start),
      },
      settings,
      now,
    );
    if (decision.brake !== null) {
      brakes.push(decision.brake);
      brake = decision.brake.kind === "set" ? { cause: "fleet" } : null;
      if (brake !== null) endOpen(done);
    }
    for (const change of decision.episodes) {
      if (change.kind === "open") {
        const episode: Episode = {
          id: String(++episodes),
          machineId: change.node.machineId,
          trouble: change.trouble.kind,
          troubleSince: now,
          wellSince: null,
          actions: [],
          standing: change.standing,
        };
        nodeOf(change.node.key).episode = episode;
        continue;
      }
      const node = [...nodes.values()].find(({ episode }) => episode?.id === change.episode.id);
      if (node === undefined || node.episode === null) throw new Error("an episode has a node");
      if (change.kind === "close") {
        endOpen(ofEpisode.get(change.episode.id) ?? []);
        if (change.episode.actions.length > 0) closed.push({ node: node.key, outcome: change.outcome });
        node.episode = null;
        continue;
      }
      node.episode = {
        ...node.episode,
        trouble: change.trouble?.kind ?? node.episode.trouble,
        troubleSince: change.troubleSince,
        wellSince: change.wellSince,
        standing: change.standing,
      };
    }
    for (const { node, episode, rung, trouble } of decision.actions) {
      const over =
        rung === "rebuild" ? { endedAt: now, outcome: "proposed" as const } : { endedAt: null, outcome: null };
      const action: DoneAction = { node: node.key, rung, at: now.getTime(), trouble: trouble.kind, ...over };
      done.push(action);
      ofEpisode.set(episode.id, [...(ofEpisode.get(episode.id) ?? []), action]);
    }
    return decision;
  };
  return {
    done,
    closed,
    brakes,
    now: () => now,
    node: nodeOf,
    braked: () => brake !== null,
    standing: (key: string) => nodeOf(key).episode?.standing ?? null,
    look,
    /** Lets time pass, with a look every `step` seconds of it. */
    pass(seconds: number, step = 30): void {
      for (const end = now.getTime() + seconds * 1_000; now.getTime() < end; ) {
        now = new Date(Math.min(end, now.getTime() + step * 1_000));
        look();
      }
    },
    set(key: string, layers: LayersNow): void {
      nodeOf(key).layers = layers;
    },
    /** Gives layers of a node these values from now on; the others stay. */
    change(key: string, layers: LayersNow): void {
      nodeOf(key).layers = { ...nodeOf(key).layers, ...layers };
    },
    /** Ends the open action of a node. */
    end(key: string, outcome: Outcome): void {
      for (const action of done) {
        if (action.node !== key || action.endedAt !== null) continue;
        action.endedAt = now;
        action.outcome = outcome;
      }
    },
    operatorReleases(): void {
      brake = null;
      releasedAt = now;
    },
    operatorPauses(): void {
      brake = { cause: "operator" };
      endOpen(done);
    },
  };
}
export type ModelFleet = ReturnType<typeof modelFleet>;
