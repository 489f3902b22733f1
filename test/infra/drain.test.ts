import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSamples } from "../../cloud-init/agent/samples.ts";
import { type Agent, AgentError, agentRunBy } from "../../collector/journal/agent.ts";
import { processVerbs } from "../../collector/journal/process.ts";
import { drainAgent } from "../../infra/drain.ts";
import { agentFolder, nodeFolder } from "../collector/node-folder.ts";

describe("a node that goes away", () => {
  let folder: string;
  const { signal } = new AbortController();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "drain-"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
    const built = await agentFolder();
    if (built !== undefined) await rm(built, { recursive: true });
  });

  it("leaves its whole journal as one answer, however many it took, that also says whose it is", async () => {
    const node = await nodeFolder(folder, "attic/0");
    for (let n = 0; n < 40; n++) node.append({});
    const real = agentRunBy(processVerbs(node.directory));
    let asked = 0;
    // An answer holds a few lines only, so that the journal takes several.
    const agent: Agent = {
      ...real,
      samples: (after, _maxBytes, stop) => {
        asked++;
        return real.samples(after, 2000, stop);
      },
    };
    const spool = join(folder, "spool");
    const lines = await drainAgent(agent, { key: node.key, machineId: node.machineId }, spool, signal);
    expect(lines).toBe(node.numbers().length);
    expect(asked).toBeGreaterThan(3);
    expect(await readdir(spool)).toEqual([`${node.journal()}.jsonl`]);
    const text = await readFile(join(spool, `${node.journal()}.jsonl`));
    const { header, items } = await readSamples([text], { after: null });
    expect(header).toMatchObject({ journal: node.journal(), key: node.key, machineId: node.machineId });
    expect(items.map(({ n }) => n)).toEqual(node.numbers());
  });

  it("leaves nothing where no journal was begun, and no half file where it broke off", async () => {
    const node = await nodeFolder(folder, "attic/1");
    const agent = agentRunBy(processVerbs(node.directory));
    const spool = join(folder, "nothing");
    expect(await drainAgent(agent, { key: node.key, machineId: node.machineId }, spool, signal)).toBeNull();
    node.append({});
    node.append({});
    const real = await agent.samples(null, 1e6, signal);
    const breaking: Agent = {
      ...agent,
      samples: (after) =>
        after === null
          ? Promise.resolve({ ...real, more: true })
          : Promise.reject(new AgentError(null, "the connection broke off")),
    };
    await expect(drainAgent(breaking, { key: node.key, machineId: node.machineId }, spool, signal)).rejects.toThrow(
      "broke off",
    );
    expect((await readdir(spool)).filter((name) => name.endsWith(".jsonl"))).toEqual([]);
  });
});
