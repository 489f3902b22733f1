import { relative } from "node:path";
import { pathToFileURL } from "node:url";
import { checkout } from "../engine/environment.ts";
import { rulesFiles } from "./plugins.ts";
import { type Rule, type RulesFile, readRules } from "./rules.ts";

/** What a rule is about, in words, for a reader of the guide. */
function subject(rule: Rule): string {
  const type = "type" in rule && rule.type !== "*" ? `\`${rule.type.split(":").at(-1)}\`` : "every type";
  switch (rule.kind) {
    case "error":
      return `the text of the error \`${rule.case}\``;
    case "provider":
      return `the provider's trait \`${rule.trait}\``;
    case "retry":
      return `how long it tries again after \`${rule.error}\``;
    case "invoke":
      return `the look-up \`${rule.token}\``;
    case "credentials":
    case "wrap":
      return rule.kind;
    case "latency":
      return `how long ${type} takes`;
    case "holds":
      return `${type} keeps \`${rule.of.split(":").at(-1)}\` from being deleted`;
    case "output":
      return `\`${rule.property}\` of ${type}`;
    default:
      return `${rule.kind} of ${type}`;
  }
}

function chapter(file: string, { plugin, sources, rules }: RulesFile): string {
  const assumed = rules.filter((rule) => rule.assumed !== undefined);
  const rows = assumed.map((rule) => `| ${subject(rule)} | ${rule.assumed?.replaceAll("|", "\\|")} |`);
  const named = Object.values(sources).map((source) =>
    "repository" in source
      ? `- ${source.repository}, ${source.version}`
      : "package" in source
        ? `- ${source.package} ${source.version}`
        : `- <${source.document}>, read on ${source.date}`,
  );
  return `## ${plugin}

${rules.length} rules in [\`${file}\`](../../${file}), ${assumed.length} of them assumed.

Sources:

${named.join("\n")}

Assumed:

| what | why |
| --- | --- |
${rows.join("\n")}
`;
}

/** Returns the guide to the stand-in clouds, with the sources of their rules and a list of those that are assumed. */
export function standInGuide(): string {
  const chapters = rulesFiles().map((path) => chapter(relative(checkout, path), readRules(path)));
  return `# Stand-in clouds

A stand-in cloud is a plugin that the engine takes for a cloud's own, behind the real SDK. It knows which properties a resource needs, what forces a replacement, which quotas and which capacity there are, how the real provider tries again, and in which words it fails. It makes nothing: no machine exists, nothing is billed, no packet leaves. Tests and \`npm run trial\` use them; an engine finds them in the home folder of a trial only, never in yours.

## What they are for

\`npm run trial -- <example>\` takes a whole phase through them without any account: what it would cost, the refusals, the diff, the scale-down. What it shows of prices is as true as the ledgers; what it shows of the clouds is as true as the rules below. Points that a trial's nodes would earn are worth nothing, for there are no nodes.

## Time and failures

The folder \`clouds\` of a trial's home holds what the clouds hold (\`clouds.sqlite\`) and what they are like (\`scenario.json\`, read again whenever it changes):

| field | meaning |
| --- | --- |
| \`speed\` | seconds that pass in the clouds in one second here; waits between a provider's own tries are of that time |
| \`failures\` | \`{cloud, on, type, name, case, after, times, retryAfterSeconds}\`: which call fails with which case of the cloud's errors; \`*\` is any text |
| \`capacity\` | \`{cloud, domain, shape, holds, comesAfterTries, later}\`: machines that a domain holds; \`later\` where the cloud accepts first and finds out then |
| \`quotas\` | limits by cloud and name, in place of those of the rules |
| \`offers\` | \`{cloud, shape, domains}\`: domains that offer a shape, where not all do |
| \`machineAddress\` | the address of every machine, where they stand for one real machine |

## Where the rules come from

Every rule is a row with its source: a repository at a version and the path in it, or a document and the day on which it was read. A rule that could not be looked up is marked as assumed and listed here; at most one in five may be.

${chapters.join("\n")}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.stdout.write(standInGuide());
