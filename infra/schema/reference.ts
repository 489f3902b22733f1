import { z } from "zod";
import type { ProviderFacts } from "../providers/provider.ts";
import { Fleet } from "../stack-config.ts";

/** The parts of a JSON Schema that a reference tells of. */
interface Shape {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly additionalProperties?: Shape | boolean;
  readonly items?: Shape;
  readonly anyOf?: readonly Shape[];
  readonly oneOf?: readonly Shape[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
}

/**
 * Returns the reference of the stack config as Markdown: every field of the schema, what each provider adds, and the
 * examples, by title and text.
 */
export function configReference(
  providers: Iterable<ProviderFacts>,
  examples: readonly { readonly title: string; readonly text: string }[],
): string {
  const fields = rowsOf(schemaOf(Fleet), "", true);
  return [
    "# The stack config",
    "",
    "Written by `node infra/schema/write.ts` from the schema, the providers' facts and `docs/examples/`; a test holds that it is current.",
    "",
    "A stack's file `Pulumi.<stack>.yaml` holds one value, `gradientlab:fleet`, with these fields. Unknown fields are refused with the nearest known one, and all mistakes are reported together. `npm run plan` says what a file makes and costs, without an account. `npm run pulumi -- preview` shows the same before the changes.",
    "",
    "A change that raises a quantity or a cost over its limit or budget is refused; one that keeps or lowers it passes, whatever the prices, the limits or the date. Without a phase the budget is nothing. A quantity without a known price is refused where more of it would be billed.",
    "",
    ...table(["field", "what to write", ""], fields),
    "",
    "## Providers",
    ...[...providers].flatMap((facts) => providerText(facts)),
    "",
    "## Examples",
    ...examples.flatMap(({ title, text }) => ["", `### ${title}`, "", "```yaml", text.trimEnd(), "```"]),
    "",
  ].join("\n");
}

function providerText({ name, regions, options, accountOptions, ledger, terms }: ProviderFacts): string[] {
  const sizes = Object.entries(ledger.sizes).map(([size, { shapes, cpus, memoryMib, diskGib }]) => [
    `\`${size}\``,
    shapes.map((shape) => `${shape}${ledger.shapes[shape]?.scarce ? ", often out of stock" : ""}`).join(", "),
    `${cpus} × ${ledger.shapes[shapes[0] ?? ""]?.arch ?? ""}, ${memoryMib} MiB, ${diskGib} GiB disk`,
  ]);
  const quantities = Object.entries(ledger.quantities).map(([id, { title }]) => `\`${id}\` (${title})`);
  return [
    "",
    `### ${name}`,
    "",
    `Regions: ${regions === "any" ? "any" : regions.join(", ")}.`,
    "",
    ...table(["size", "machine type", ""], sizes),
    "",
    ...table(
      ["field", "what to write", ""],
      [
        ...inside(schemaOf(options), "groups.<name>.options", false),
        ...inside(schemaOf(accountOptions), `accounts.${name}.options`, false),
      ],
    ),
    ...(quantities.length === 0
      ? []
      : ["", `Quantities, for \`free\` and \`limits\` of the account: ${quantities.join(", ")}.`]),
    ...terms.map(({ name: term, says, read }) => `\nAcknowledge \`${term}\`: ${says} Read ${read}.`),
  ];
}

function schemaOf(schema: z.ZodType): Shape {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Shape;
}

/** Returns a row for each field below a shape: its path, its type, and its description. */
function rowsOf(shape: Shape, path: string, top: boolean): string[][] {
  const rows: string[][] = [];
  for (const [name, field] of Object.entries(shape.properties ?? {})) {
    const at = path === "" ? name : `${path}.${name}`;
    const needed = shape.required?.includes(name) ? "needed" : "";
    rows.push([`\`${at}\``, typeText(field), [field.description ?? "", needed].filter(Boolean).join(" ")]);
    rows.push(...inside(field, at, top));
  }
  return rows;
}

function inside(field: Shape, at: string, top: boolean): string[][] {
  const rows = rowsOf(field, at, top);
  if (typeof field.additionalProperties === "object")
    rows.push(...inside(field.additionalProperties, `${at}.<name>`, top));
  for (const form of [...(field.anyOf ?? []), ...(field.oneOf ?? [])]) rows.push(...inside(form, at, top));
  return rows;
}

function typeText(field: Shape): string {
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(" or ");
  if (field.anyOf !== undefined) return [...new Set(field.anyOf.map(typeText))].join(" or ");
  const initial = field.default === undefined ? "" : `, ${JSON.stringify(field.default)} unless said`;
  if (field.type === "integer") {
    const most = field.maximum === undefined || field.maximum > 1e12 ? "" : ` to ${field.maximum}`;
    return `whole number${field.minimum === undefined || field.minimum < -1e12 ? "" : ` from ${field.minimum}`}${most}${initial}`;
  }
  if (field.type === "array") return `list of: ${typeText(field.items ?? {})}`;
  if (field.type === "string") return `text${initial}`;
  if (field.type === "object") return "fields";
  return `${field.type ?? "anything"}${initial}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
