import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readKey } from "../../collector/credentials.ts";
import { enrolBrowser } from "../../collector/enrolment/enrol.ts";
import { readSshKey } from "../../collector/journal/ssh-key.ts";
import { accountIn, findAccounts, readAccount } from "../../collector/networks/accounts.ts";
import type { DashboardAccess } from "../../collector/networks/adapter.ts";
import { adapterOf } from "../../collector/networks/adapters.ts";
import { accessKeyFile } from "../access-keys.ts";
import { type CredentialPlaces, credentialPlaces } from "../credential-places.ts";
import { debuggingAccess } from "../debugging-access.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import type { NodeRecord } from "../inventory.ts";
import { BadInput, ExplainedError, type Problem } from "../problem.ts";
import { readInventory } from "./deployed.ts";
import { typedAnswers } from "./typed.ts";

export const usage = `npm run enrol -- <group>/<slot> [--account <name>] [--typed] [--origin <address>]

Signs a node's own browser in to your own account of its network, on the network's dashboard. A captcha, new terms or a
page that was never seen is yours to answer: the command names an address where you see the page and do it by hand.
  --account  which account, where networks/ holds several of the network
  --typed    ask for address and password instead of taking the account's
  --origin   the dashboard's address as the node's browser reaches it, where it is another than the account's
CREDENTIALS_KEY and NETWORKS name the collector's places where they are not this checkout's.
`;

const patienceMs = 20_000;
/** An emulated machine's browser takes its time. */
const patienceOverSshMs = 120_000;
const byHandMs = 15 * 60_000;

/** Signs the node's browser in. Returns 0. Throws `BadInput` naming what is wrong, and as `enrolBrowser` does. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { account: { type: "string" }, typed: { type: "boolean" }, origin: { type: "string" } },
    allowPositionals: true,
  });
  const home = resolve(homeOf(checkout));
  const { node, network } = await nodeOf(home, positionals);
  const kept = await keptAccount(network, values.account, credentialPlaces(process.env));
  const origin = originFor(node, network, kept, values.origin);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const say = (sentence: string): void => void process.stdout.write(`${sentence}\n`);
  const access = await debuggingAccess(node.reach, () => readSshKey(accessKeyFile(home, "operator")));
  try {
    const words = async (): Promise<{ email: string; password: string }> => {
      if (kept !== null && !values.typed) return kept;
      const [email = "", password = ""] = await typedAnswers(
        [
          { ask: `Address of your account of ${network}`, secret: false },
          { ask: `Password, typed at ${origin} and kept nowhere`, secret: true },
        ],
        stopping.signal,
      );
      return { email, password };
    };
    const enrolled = await enrolBrowser({
      endpoint: access.endpoint,
      origin,
      words,
      patienceMs: node.reach.kind === "ssh" ? patienceOverSshMs : patienceMs,
      byHandMs,
      say,
      signal: stopping.signal,
    });
    say(
      enrolled === "signed-in"
        ? `The browser of ${node.key} is signed in at ${origin}.`
        : `The browser of ${node.key} was signed in at ${origin} already.`,
    );
    return 0;
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await access.close();
  }
}

function wrong(path: string, value: string | undefined, message: string, fix: string): BadInput {
  const problem: Problem = { path, value, message, fix };
  return new BadInput("The command", [problem]);
}

async function nodeOf(home: string, words: readonly string[]): Promise<{ node: NodeRecord; network: string }> {
  const [key, ...more] = words;
  if (key === undefined || more.length > 0)
    throw wrong(
      "enrol",
      words.join(" "),
      "Exactly one node has to be named.",
      "Give its key: npm run enrol -- home/0.",
    );
  const { nodes } = await readInventory(home);
  const node = nodes.find((each) => each.key === key);
  const known =
    nodes.length === 0 ? "Make a fleet first: npm start." : `There are: ${nodes.map((n) => n.key).join(", ")}.`;
  if (node === undefined) throw wrong("enrol", key, `There is no node ${key}.`, known);
  const { network, power } = node;
  if (network === null || adapterOf(network)?.dashboardOf === undefined)
    throw wrong(
      "enrol",
      key,
      `${key} earns from ${network ?? "no network"}, which has no dashboard that this release signs in to.`,
      "Name a node of another network.",
    );
  if (power === "off")
    throw wrong("enrol", key, `${key} is switched off.`, "Take it out of `stopped`, and run npm run up.");
  return { node, network };
}

/** Returns the account of the network that lies in the credentials' folder, null where there is none. */
async function keptAccount(
  network: string,
  name: string | undefined,
  { keyFile, networks }: CredentialPlaces,
): Promise<DashboardAccess | null> {
  const opener = { key: existsSync(keyFile) ? readKey(keyFile) : null };
  const all = await Promise.all((await findAccounts(networks)).map(({ file }) => readAccount(file, opener)));
  const ours = all.filter(
    ({ adapter, account }) => adapter.network === network && account.account === (name ?? account.account),
  );
  const names = ours.map(({ account }) => account.account).join(", ");
  const [found] = ours;
  if (ours.length > 1)
    throw wrong(
      "--account",
      name,
      `There are several accounts of ${network}: ${names}.`,
      "Name one: --account <name>.",
    );
  if (found === undefined && name !== undefined)
    throw wrong(
      "--account",
      name,
      `There is no account ${name} of ${network}.`,
      "npm run credentials -- list shows them.",
    );
  return found?.adapter.dashboardOf?.(found.account) ?? null;
}

/** Returns the one origin that credentials are typed into. */
function originFor(node: NodeRecord, network: string, kept: DashboardAccess | null, given: string | undefined): string {
  const address = given ?? kept?.origin ?? usualOrigin(network);
  if (address === undefined)
    throw wrong(
      "--origin",
      undefined,
      `Nothing says where the dashboard of ${network} is.`,
      "Give it: --origin <address>.",
    );
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || !["", "/"].includes(url.pathname))
    throw wrong(
      "--origin",
      given,
      `${address} is no address of a dashboard.`,
      "Give one such as https://app.example.org.",
    );
  if (url.protocol === "http:" && isIP(url.hostname) === 0 && url.hostname !== "localhost")
    throw wrong(
      "--origin",
      given,
      `A password does not go to ${url.origin} unencrypted.`,
      "Give an address with https.",
    );
  if (node.reach.kind === "ssh" && /^(127\.|localhost$|\[::1\]$)/.test(url.hostname))
    throw wrong(
      "--origin",
      given,
      `${url.origin} is an address of this machine's own: the browser of ${node.key} would look for it on its own.`,
      "Give the address under which the node reaches it, such as http://10.0.2.2:<port> for a virtual machine here: --origin.",
    );
  return url.origin;
}

/** Returns where the network's dashboard is where no account says another thing; `undefined` where it has no such place. */
function usualOrigin(network: string): string | undefined {
  try {
    const { adapter, account } = accountIn(
      { schema: 1, network, account: "typed", label: "typed", email: "typed", password: "typed" },
      "The account",
    );
    return adapter.dashboardOf?.(account).origin;
  } catch (error) {
    if (error instanceof ExplainedError && error.code === "account-form") return undefined;
    throw error;
  }
}
