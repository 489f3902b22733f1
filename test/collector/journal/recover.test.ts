import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { agentRunBy, type RecoverAnswer } from "../../../collector/journal/agent.ts";
import { processVerbs } from "../../../collector/journal/process.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "recover-"));
  await mkdir(join(directory, "bin"));
});
afterAll(() => rm(directory, { recursive: true }));

const failed = JSON.stringify({ id: "a", verb: "recover", layer: "runtime", outcome: "failed", detail: "no unit" });

it.each<[string, string, RecoverAnswer]>([
  ["done", `[ "$*" = "recover runtime --action a-1" ] || exit 64; echo '{"outcome":"done"}'`, { kind: "done" }],
  ["64, which an older agent says", "echo usage >&2; exit 64", { kind: "failed", detail: "usage" }],
  ["69", "echo 'The node does not run.' >&2; exit 69", { kind: "unavailable", detail: "The node does not run." }],
  ["75 because it takes longer", "echo later >&2; exit 75", { kind: "later", detail: "later" }],
  ["75 because it failed", `echo '${failed}'; echo 'no unit' >&2; exit 75`, { kind: "failed", detail: "no unit" }],
  ["77", "echo refused >&2; exit 77", { kind: "refused", detail: "refused" }],
  ["nothing, as it was killed", "kill -9 $$", { kind: "silent", heard: true, detail: "it ended with no exit code" }],
])("an agent that answers %s", async (_, script, expected) => {
  const program = join(directory, "bin", "agent");
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, 0o700);
  const agent = agentRunBy(processVerbs(directory));
  expect(await agent.recover("runtime", "a-1", new AbortController().signal)).toEqual(expected);
});

it("a node whose agent is not there never heard of it", async () => {
  const agent = agentRunBy(processVerbs(join(directory, "nowhere")));
  expect(await agent.recover("reboot", "a-1", new AbortController().signal)).toMatchObject({
    kind: "silent",
    heard: false,
  });
});
