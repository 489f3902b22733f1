import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMap, parseDocument } from "yaml";
import { ExplainedError } from "../problem.ts";
import type { Placement } from "../providers/provider.ts";

/**
 * Returns the text of a stack's file with these placements in `gradientlab:fleet.placements`; what the operator wrote
 * there, comments included, stays as it is. Throws `bad-stack-file` where the text is no stack file with a fleet.
 */
export function withPlacements(text: string, placements: ReadonlyMap<string, Placement>): string {
  const document = parseDocument(text);
  const fleet = document.getIn(["config", "gradientlab:fleet"]);
  if (document.errors.length > 0 || !isMap(fleet))
    throw new ExplainedError(
      "bad-stack-file",
      `The stack's file holds no fleet to write a placement into${document.errors[0] === undefined ? "" : `: ${document.errors[0].message}`}.`,
      "Write the fleet under config as gradientlab:fleet.",
    );
  for (const [key, { domain, shape }] of placements) {
    const node = document.createNode({ domain, shape }, { flow: true });
    document.setIn(["config", "gradientlab:fleet", "placements", key], node);
  }
  return document.toString({ lineWidth: 0 });
}

/** Writes these placements into the stack's file, whole or not at all. */
export async function writePlacements(
  folder: string,
  stack: string,
  placements: ReadonlyMap<string, Placement>,
): Promise<void> {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  const part = `${file}.${process.pid}.part`;
  await writeFile(part, withPlacements(await readFile(file, "utf8"), placements));
  await rename(part, file);
}
