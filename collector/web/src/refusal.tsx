import { type ReactNode, useState } from "react";
import { ExplainedError } from "../../../infra/problem.ts";

/**
 * Returns the sentence of what was refused last, to be shown, and how to do what may be refused: what goes well takes the
 * sentence away. Anything but a refusal is thrown.
 */
export function useRefusal(): readonly [ReactNode, (work: () => Promise<unknown>) => Promise<void>] {
  const [refusal, setRefusal] = useState<string | null>(null);
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      setRefusal(null);
    } catch (error) {
      if (!(error instanceof ExplainedError)) throw error;
      setRefusal(`${error.message} ${error.fix}`);
    }
  };
  const shown = refusal !== null && (
    <p className="alerts-refusal" role="alert">
      {refusal}
    </p>
  );
  return [shown, attempt];
}
