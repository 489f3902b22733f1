import { parseDocument } from "yaml";
import { BadInput } from "./problem.ts";

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
  const given = (value as { readonly config?: Readonly<Record<string, unknown>> } | null)?.config ?? {};
  const config: Record<string, string> = {};
  const secret: string[] = [];
  for (const [key, each] of Object.entries(given)) {
    if (isEncrypted(each)) secret.push(key);
    else config[key] = typeof each === "string" ? each : JSON.stringify(each);
  }
  return { config, secret };
}

function isEncrypted(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).join() === "secure";
}
