import { useState } from "react";
import { shortenId } from "./shorten.ts";

/**
 * The id the network knows a node by, as a button that copies it. In a list it is short, and is shown whole where the
 * browser does not let a page copy (plain HTTP from another machine), so that it can be selected by hand.
 */
export function NetworkId({ id, whole = false }: { readonly id: string | null; readonly whole?: boolean }) {
  const [state, setState] = useState<"idle" | "copied" | "shown">("idle");
  if (id === null) return <span className="missing">no network id yet</span>;
  const copy = () => {
    if (navigator.clipboard === undefined) {
      setState("shown");
      return;
    }
    navigator.clipboard.writeText(id).then(
      () => setState("copied"),
      () => setState("shown"),
    );
  };
  return (
    <span className="network-id">
      <code title={id}>{whole || state === "shown" ? id : shortenId(id)}</code>
      <button type="button" className="copy" onClick={copy} onBlur={() => setState("idle")}>
        <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
          {state === "copied" ? <path d="M3 8.5l3.2 3.2L13 4.9" /> : <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />}
        </svg>
        <span className="unseen" role={state === "idle" ? undefined : "status"}>
          {state === "copied" ? "copied" : state === "shown" ? "shown in full" : `copy network id ${id}`}
        </span>
      </button>
    </span>
  );
}
