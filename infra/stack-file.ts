import { parseDocument } from "yaml";
import { BadInput, quoted } from "./problem.ts";

/**
 * Returns the config in the text of a stack's file `Pulumi.<stack>.yaml` as the engine hands it to the program: texts by
 * full name, structured values as JSON; and the names of those set encrypted, whose values are left out. Throws
 * `BadInput` with every place where the text is no YAML, `name` being what to call the file.
 */
export function readStackFile(
  text: string,
  name: string,
): { readonly config: Readonly<Record<string, string>>; readonly secret: readonly string[] } {
  const document = parseDocument(text);
  if (document.errors.length > 0)
    throw new BadInput(
      name,
      document.errors.map(({ message, linePos }) => {
        const line = linePos?.[0].line ?? 1;
        const [what = ""] = message.split(" at line");
        return { path: `line ${line}`, value: undefined, message: `Line ${line}: ${what}.`, fix: "Correct that line." };
      }),
    );
  const value: unknown = document.toJS();
  const given = configIn(value, name);
  const config: Record<string, string> = {};
  const secret: string[] = [];
  for (const [key, each] of Object.entries(given)) {
    if (isEncrypted(each)) secret.push(key);
    else config[key] = typeof each === "string" ? each : JSON.stringify(each);
  }
  return { config, secret };
}

/** What the engine itself keeps in a stack's file. */
const enginesOwn = ["config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"];

/** Returns the config in a stack's file; nothing where the file is empty. Throws `BadInput` where it is another file. */
function configIn(value: unknown, name: string): Readonly<Record<string, unknown>> {
  const refuse = (path: string, found: unknown, message: string): never => {
    const fix = "Write the fields below config:, as docs/examples/pilot.yaml has them.";
    throw new BadInput(name, [{ path, value: quoted(found), message, fix }]);
  };
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value))
    return refuse("config", value, "It holds no fields, and a stack's file has a field config.");
  const fields = value as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(fields).filter((field) => !enginesOwn.includes(field));
  if (fields.config === undefined && other !== undefined)
    return refuse(other, fields[other], `${other} stands at the top, where a stack's file has a field config.`);
  const config = fields.config ?? {};
  if (typeof config !== "object" || Array.isArray(config))
    return refuse("config", config, `config is ${quoted(config)}.`);
  return config as Readonly<Record<string, unknown>>;
}

function isEncrypted(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).join() === "secure";
}
