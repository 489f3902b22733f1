import { isDeepStrictEqual } from "node:util";
import type { Reach } from "../../infra/inventory.ts";
import { explanationOf, sentenceOf } from "../log.ts";
import type { RecoverLayer } from "../recovery/rungs.ts";
import { nodesToFollow } from "../store/nodes.ts";
import type { Agent, RecoverAnswer } from "./agent.ts";
import { type FollowedNode, type Follower, followNode, type PullDependencies } from "./pull.ts";

/** All nodes of the inventory, each followed by itself: one node's trouble never holds up another. */
export interface FleetFollower {
  /** Brings the followed nodes to what the inventory says. Never throws. */
  look(): Promise<void>;
  pullAll(): Promise<void>;
  watchSilence(): Promise<void>;
  /** Has the machine that a node is on do an action, and returns what it says of it. Never throws. */
  recover(
    node: { readonly key: string; readonly machineId: string },
    layer: RecoverLayer,
    action: string,
    signal: AbortSignal,
  ): Promise<RecoverAnswer>;
  stop(): Promise<void>;
}

/** What following a fleet needs of the world. */
export interface FleetDependencies extends Omit<PullDependencies, "inTurn"> {
  /** Returns the agent of a node that is reached this way. @throws ExplainedError for a way that cannot be gone. */
  readonly agentOf: (reach: Reach) => Agent;
  /** How many nodes are asked at once, by the way they are reached. */
  readonly turns: Readonly<Record<Reach["kind"], PullDependencies["inTurn"]>>;
}

/** Follows the nodes that the database says are in the inventory; `pullSeconds` is the distance of timed pulls. */
export function followFleet(dependencies: FleetDependencies, pullSeconds: number): FleetFollower {
  const { database, log, agentOf, turns } = dependencies;
  const followers = new Map<string, Follower>();
  let stopped = false;
  let looking: Promise<void> = Promise.resolve();

  const lookOnce = async (): Promise<void> => {
    if (stopped) return;
    const nodes = new Map((await nodesToFollow(database)).map((node) => [node.key, node]));
    for (const [key, follower] of followers) {
      if (isDeepStrictEqual(follower.node, nodes.get(key))) continue;
      followers.delete(key);
      await follower.stop();
    }
    for (const node of nodes.values()) {
      if (!stopped && !followers.has(node.key)) begin(node);
    }
  };

  const begin = (node: FollowedNode): void => {
    try {
      const follower = followNode(node, agentOf(node.reach), { ...dependencies, inTurn: turns[node.reach.kind] });
      followers.set(node.key, follower);
      void follower.pull();
    } catch (error) {
      log("error", `${node.key} is not followed: ${sentenceOf(error)}`, { node: node.key, ...explanationOf(error) });
    }
  };

  const pullAll = async (): Promise<void> => {
    await Promise.all([...followers.values()].map((follower) => follower.pull()));
  };
  const timer = setInterval(() => {
    for (const follower of followers.values()) void follower.pullWhenDue();
  }, pullSeconds * 1000);

  return {
    look() {
      looking = looking
        .then(lookOnce)
        .catch((error: unknown) => log("error", `The nodes to follow were not read: ${sentenceOf(error)}`));
      return looking;
    },
    pullAll,
    async watchSilence() {
      await Promise.all([...followers.values()].map((follower) => follower.watchSilence()));
    },
    async recover({ key, machineId }, layer, action, signal) {
      const follower = followers.get(key);
      if (follower?.node.machineId !== machineId)
        return { kind: "silent", heard: false, detail: "its machine is not followed" };
      return follower.recover(layer, action, signal);
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await looking;
      await Promise.all([...followers.values()].map((follower) => follower.stop()));
    },
  };
}
