import { existsSync, realpathSync, statSync } from "node:fs";
import type { Isolation } from "../../../../../infra/isolation.ts";
import {
  groupAlive,
  groupIdentity,
  startGroup,
  stopGroup,
} from "../../../../../infra/providers/local/process/group.ts";
import type { GroupSpec } from "../../../../../infra/providers/local/process/spec.ts";
import { descendantsOf, journalOf, linesOf, stillRunning, until } from "./fixture.ts";

/**
 * One life of a node, as a program of its own so that it can be run as another user: start, first look, death of the
 * outermost process, second start, stop. Prints what it saw as one JSON object.
 */
interface Life {
  readonly home: string;
  readonly directory: string;
  readonly artefacts: string;
  readonly spec: GroupSpec;
  readonly isolation?: Isolation;
}

const { home, directory, artefacts, spec, isolation } = JSON.parse(process.argv[2] ?? "") as Life;
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const options = { artefacts, say, ...(isolation === undefined ? {} : { isolation }) };
try {
  const { note } = await startGroup(home, directory, spec, options);
  const look = () =>
    until("a look", 60_000, async () =>
      linesOf(await journalOf(directory)).findLast(({ app }) => app?.network_node_id !== undefined),
    );
  const first = await look();
  const seenAs = realpathSync(directory);
  const outer = groupIdentity(directory)?.pid ?? 0;
  const all = await descendantsOf(outer);
  process.kill(outer, "SIGKILL");
  await until("the end of the group", 10_000, async () => ((await groupAlive(directory)) ? undefined : true));
  const left = await until("the end of all its processes", 10_000, () => {
    const running = stillRunning(all);
    return running.length === 0 ? running : undefined;
  });
  await startGroup(home, directory, spec, options);
  const second = await until("a look of the second life", 60_000, async () =>
    linesOf(await journalOf(directory)).findLast(({ n, app }) => n > first.n + 2 && app?.network_node_id !== undefined),
  );
  process.stdout.write(
    `${JSON.stringify({
      uid: process.getuid?.(),
      note,
      account: statSync(`${directory}/profile`).uid,
      left,
      processes: all.length,
      byLoad: all.some(({ args }) => args.includes(`--load-extension=${seenAs}/extension/unpacked`)),
      version: first.app?.version,
      ids: [first.app?.network_node_id, second.app?.network_node_id],
    })}\n`,
  );
} finally {
  if (existsSync(directory)) await stopGroup(directory, { deadlineMs: 20_000 });
}
