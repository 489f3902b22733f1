// The least a Pulumi program can be: it imports the SDK and declares COUNT resources from literals.
const pulumi = require("@pulumi/pulumi");

class Floor extends pulumi.CustomResource {}

for (let slot = 0; slot < Number(process.env.COUNT); slot++)
  new Floor("gradientlab:index:ProcessNode", `floor/${slot}`, { key: `floor/${slot}` });
