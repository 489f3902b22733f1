import { useEffect, useRef, useState } from "react";
import type { NodeItem } from "../../api/types.ts";
import { describeChanges, summary } from "./announce.ts";
import type { Connection } from "./live-state.ts";

// Far enough apart to be listened to; short breaks of the connection are not worth a word.
const sayEveryMs = 8000;
const outageAfterMs = 5000;

/** Says changes to screen readers: politely, gathered, and never more than one sentence or three every eight seconds. */
export function Announcer({
  nodes,
  connection,
}: {
  readonly nodes: readonly NodeItem[] | null;
  readonly connection: Connection;
}) {
  const [words, setWords] = useState("");
  const now = useRef({ nodes, connection });
  now.current = { nodes, connection };

  useEffect(() => {
    let told: readonly NodeItem[] | null = null;
    let down: "no" | "unsaid" | "said" = "no";
    let downFor = 0;
    const say = () => {
      const { nodes: at, connection: link } = now.current;
      const sentences: string[] = [];
      if (at !== null && at !== told) {
        const change = told === null ? summary(at) : describeChanges(told, at);
        if (change !== null) sentences.push(change);
        told = at;
      }
      if (link.kind === "reconnecting") {
        downFor = down === "no" ? 0 : downFor + sayEveryMs;
        down = down === "said" ? "said" : "unsaid";
        if (down === "unsaid" && downFor >= outageAfterMs) {
          sentences.push("The connection to the collector is lost. The page keeps trying.");
          down = "said";
        }
      } else if (link.kind === "live") {
        if (down === "said") sentences.push("The page is live again.");
        down = "no";
      }
      if (sentences.length > 0) setWords(sentences.join(" "));
    };
    const timer = setInterval(say, sayEveryMs);
    return () => clearInterval(timer);
  }, []);

  return (
    <div className="unseen" role="status" aria-live="polite">
      {words}
    </div>
  );
}
