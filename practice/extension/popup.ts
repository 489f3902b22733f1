import { read } from "./stored.ts";

function show(id: string, text: string): void {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`popup.html has no element ${id}.`);
  element.textContent = text;
}

function hours(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

/** Returns units of 1/100 000 point as points, exactly. */
function points(units: number): string {
  return `${Math.trunc(units / 100_000)}.${String(units % 100_000).padStart(5, "0")}`;
}

async function showStored(): Promise<void> {
  const { shown, clientid, version, lastHeartbeatAt, failure } = await read(
    "shown",
    "clientid",
    "version",
    "lastHeartbeatAt",
    "failure",
  );
  const unknown = "–";
  show("taps", shown === undefined ? unknown : String(shown.taps));
  show("uptime", shown === undefined ? unknown : hours(shown.uptimeMs));
  show("reward", shown === undefined ? unknown : points(shown.units));
  show("season-no", shown === undefined ? "0" : String(shown.seasonNo));
  show("season", shown === undefined ? unknown : points(shown.seasonUnits));
  show("referred", shown === undefined ? unknown : String(shown.referred));
  show("referral-code", shown?.referralCode ?? unknown);
  show("ip", shown?.ip ?? unknown);
  show("version", version ?? unknown);
  show("node-id", clientid ?? unknown);
  show("heard", lastHeartbeatAt === undefined ? "Not heard yet." : `Last heard ${lastHeartbeatAt}.`);
  show("failure", failure === undefined ? "" : failure.message);
}

chrome.storage.local.onChanged.addListener(showStored);
await showStored();
