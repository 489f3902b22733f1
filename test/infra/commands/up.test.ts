import { describe, expect, it } from "vitest";
import { failure, saySteps } from "../../../infra/commands/up.ts";
import { BadInput, ExplainedError } from "../../../infra/problem.ts";

/** What the engine prints when the program finds mistakes in the config. */
const mistaken = `Previewing update (dev):

    pulumi:pulumi:Stack gradientlab-dev running error: The stack config has 2 mistakes:
    pulumi:pulumi:Stack gradientlab-dev **failed** 1 error; 2 messages
Diagnostics:
  pulumi:pulumi:Stack (gradientlab-dev):
    error: The stack config has 2 mistakes:
      gradientlab:fleet.groups.home.count is -1. Write a whole number from 0 to 1000.
      gradientlab:fleet.groups.home.sise is not a known field. Did you mean size?

    the program says hello

Resources:
    1 unchanged
    1 errored
`;

const failed = `Updating (dev):

 +  gradientlab:index:ProcessNode home/0 creating (0s) error: no browser
Diagnostics:
  gradientlab:index:ProcessNode (home/0):
    error: no browser

  pulumi:pulumi:Stack (gradientlab-dev):
    error: update failed

Resources:
    1 errored
`;

describe("what an up that failed says", () => {
  it("is every mistake of the config, as bad input", () => {
    const error = failure(mistaken, "/logs/up.log");
    expect(error).toBeInstanceOf(BadInput);
    expect((error as BadInput).problems.map(({ path, message }) => [path, message])).toEqual([
      [
        "gradientlab:fleet.groups.home.count",
        "gradientlab:fleet.groups.home.count is -1. Write a whole number from 0 to 1000.",
      ],
      [
        "gradientlab:fleet.groups.home.sise",
        "gradientlab:fleet.groups.home.sise is not a known field. Did you mean size?",
      ],
    ]);
  });

  it("is the engine's diagnostics, and where the rest is, for anything else", () => {
    const error = failure(failed, "/logs/up.log");
    expect(error).toBeInstanceOf(ExplainedError);
    expect(error).not.toBeInstanceOf(BadInput);
    expect(error.message).toContain("gradientlab:index:ProcessNode (home/0):\n    error: no browser");
    expect(error.message).not.toContain("Resources");
    expect((error as ExplainedError).fix).toContain("/logs/up.log");
  });

  it("is the end of the output where the engine gave no diagnostics", () => {
    expect(failure("error: the stack is currently locked by 1 lock(s).", "/l").message).toContain("currently locked");
  });
});

describe("the steps shown while it works", () => {
  it("are its stages and what happens to resources, and nothing else that the engine prints", () => {
    const said: string[] = [];
    const hear = saySteps((text) => said.push(text));
    for (const line of [
      "Updating (dev):",
      " +  gradientlab:index:ProcessNode home/0 creating (0s) ",
      " +  gradientlab:index:ProcessNode home/0 created (1.5s) ",
      " -  gradientlab:index:ProcessNode home/1 deleting (0s) ",
      " +- gradientlab:index:ProcessNode home/2 replaced (0s) ",
      " ~  gradientlab:index:ProcessNode home/3 refreshing (0s) ",
      "    + 7 created",
      "",
    ])
      hear(line);
    expect(said).toEqual([
      "making the changes",
      "creating home/0",
      "created home/0",
      "deleting home/1",
      "replaced home/2",
    ]);
  });
});
