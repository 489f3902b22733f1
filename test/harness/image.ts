import { ExplainedError } from "../../infra/problem.ts";
import { ensureImage } from "../../infra/providers/local/machine/image.ts";

/** Makes the image of virtual machines ready, and returns why there is none, for a skip; null where there is one. */
export async function imageLacks(): Promise<string | null> {
  try {
    await ensureImage();
    return null;
  } catch (error) {
    if (!(error instanceof ExplainedError)) throw error;
    return `${error.message} ${error.fix}`;
  }
}
