// The same resources as another program declared, from literals: it imports the clouds' SDKs and does nothing else.
const { readFileSync } = require("node:fs");
const pulumi = require("@pulumi/pulumi");

/** @typedef {new (name: string, inputs: object, options: pulumi.CustomResourceOptions) => pulumi.Resource} Made */

// As the program does while it declares: without it the SDK's work doubles, and no plain program could be a floor.
Error.stackTraceLimit = 0;

class Plain extends pulumi.CustomResource {}

/** @type {Map<string, Made | undefined>} */
const classes = new Map();

/** @param {string} text */
const lower = (text) => `${text.charAt(0).toLowerCase()}${text.slice(1)}`;

/** Returns the SDK's class of a type, or nothing for a type that no SDK has. @param {string} type */
function classOf(type) {
  if (classes.has(type)) return classes.get(type);
  const [cloud = "", path = "", kind = ""] = type.split(":");
  const file = cloud === "pulumi" ? "provider" : lower(path.includes("/") ? path : `${path}/${lower(kind)}`);
  const made = cloud === "gradientlab" ? undefined : require(`@pulumi/${cloud === "pulumi" ? kind : cloud}/${file}`);
  classes.set(type, made?.[cloud === "pulumi" ? "Provider" : kind]);
  return classes.get(type);
}

/** @type {readonly import("../monitor.ts").Registered[]} */
const literals = JSON.parse(readFileSync(String(process.env.LITERALS), "utf8"));
/** @type {pulumi.Resource[]} */
const declared = [];
for (const { type, name, custom, inputs, parent, provider, options } of literals) {
  const above = parent === null ? undefined : declared[parent];
  if (!custom) {
    declared.push(new pulumi.ComponentResource(type, name, {}, above === undefined ? {} : { parent: above }));
    continue;
  }
  const around = /** @type {pulumi.CustomResourceOptions} */ ({
    ...options,
    parent: above,
    provider: provider === null ? undefined : declared[provider],
  });
  const Made = classOf(type);
  declared.push(Made === undefined ? new Plain(type, name, inputs, around) : new Made(name, inputs, around));
}
