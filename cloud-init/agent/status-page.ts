import type { NodeFile } from "./folder.ts";
import type { LineDraft } from "./journal.ts";
import type { NodeEvent } from "./line.ts";

/**
 * Returns the node's status page: one static page that needs nothing else, written with each sample. It shows what the
 * sample says and nothing that the journal would not: no token, no address of the machine.
 */
export function statusPage(node: NodeFile, sample: LineDraft, events: readonly NodeEvent[]): string {
  const { machine, runtime, app, net, errors } = sample;
  const rows: (readonly [string, string])[] = [
    ["Taken", sample.at],
    ["Workload", `${node.workload}, revision ${node.revision.machine}.${node.revision.software}`],
    ["Runtime", state(runtime?.state, runtime?.reason)],
    ["Restarts", shown(runtime?.restarts)],
    ["Memory of the runtime", mebibytes(runtime?.pss_bytes)],
    ["App", state(app?.state, app?.reason)],
    ["App version", shown(app?.version)],
    ["Age of the last heartbeat", app?.heartbeat_age_s === undefined ? "not measured" : `${app.heartbeat_age_s} s`],
    ["Network node id", shown(app?.network_node_id)],
    ["Load", shown(machine?.load1)],
    ["Memory free", mebibytes(machine?.mem_available_bytes)],
    ["Swap used", mebibytes(machine?.swap_used_bytes)],
    ["Disk free", mebibytes(machine?.disk_free_bytes)],
    ["Way to the network", way(net)],
    [
      "Not measured",
      errors === undefined ? "nothing" : errors.map(({ field, code }) => `${field} (${code})`).join(", "),
    ],
  ];
  const table = rows
    .map(([name, value]) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`)
    .join("\n");
  const list = events.map(({ name }) => `<li>${escaped(name)}</li>`).join("\n");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="60">
<title>${escaped(node.key)} · GradientLab node</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
th { text-align: left; font-weight: 600; padding-right: 2rem; vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #e6e8eb; background: #14171a; } }
</style>
<h1>${escaped(node.key)}</h1>
<table>
${table}
</table>
<h2>Events of this sample</h2>
${list === "" ? "<p>None.</p>" : `<ul>\n${list}\n</ul>`}
</html>
`;
}

function state(value: string | undefined, reason: string | undefined): string {
  return value === undefined ? "unknown" : reason === undefined ? value : `${value}: ${reason}`;
}

function shown(value: string | number | undefined): string {
  return value === undefined ? "not measured" : String(value);
}

function mebibytes(bytes: number | undefined): string {
  return bytes === undefined ? "not measured" : `${Math.round(bytes / (1024 * 1024))} MiB`;
}

function way(net: LineDraft["net"]): string {
  const steps = Object.entries(net ?? {}).map(([name, ms]) => `${name.replace(/_ms$/, "")} ${ms} ms`);
  return steps.length === 0 ? "not measured" : steps.join(", ");
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
