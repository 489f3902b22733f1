#!/usr/bin/env node
// A provider for tests: `timer:index:Wait` takes as many milliseconds to make as its input says. Every call is a line
// of the file named by TIMER_LOG.
const { appendFileSync } = require("node:fs");
const grpc = require("@grpc/grpc-js");
const { Empty } = require("google-protobuf/google/protobuf/empty_pb.js");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb.js");
const { PluginInfo } = require("@pulumi/pulumi/proto/plugin_pb.js");
const { ResourceProviderService } = require("@pulumi/pulumi/proto/provider_grpc_pb.js");
const messages = require("@pulumi/pulumi/proto/provider_pb.js");

/** @param {string} text */
const log = (text) => (process.env.TIMER_LOG ? appendFileSync(process.env.TIMER_LOG, `${text}\n`) : undefined);
/** @param {(request: any) => any} answer */
const unary = (answer) => (/** @type {any} */ call, /** @type {any} */ done) => done(null, answer(call.request));
/** @param {any} request */
const inputs = (request) => /** @type {any} */ (request.getProperties()?.toJavaScript() ?? {});

/** @param {new () => any} Message @param {Record<string, unknown>} fields */
function filled(Message, fields) {
  const message = new Message();
  for (const [name, value] of Object.entries(fields)) message[`set${name}`](value);
  return message;
}

let cancelled = false;

const provider = {
  handshake: unary(() => new messages.ProviderHandshakeResponse()),
  getPluginInfo: unary(() => filled(PluginInfo, { Version: "1.0.0" })),
  checkConfig: unary((request) => filled(messages.CheckResponse, { Inputs: request.getNews() })),
  diffConfig: unary(() => new messages.DiffResponse()),
  configure: unary(() => filled(messages.ConfigureResponse, { Acceptsecrets: false, Supportspreview: true })),
  check: unary((request) => filled(messages.CheckResponse, { Inputs: request.getNews() })),
  diff: unary((request) => {
    const [olds, news] = [request.getOldInputs(), request.getNews()].map((s) => JSON.stringify(s?.toJavaScript()));
    return filled(messages.DiffResponse, { Changes: olds === news ? 1 : 2 });
  }),
  create(/** @type {any} */ call, /** @type {any} */ done) {
    const { name, ms } = inputs(call.request);
    if (call.request.getPreview())
      return done(null, filled(messages.CreateResponse, { Properties: call.request.getProperties() }));
    log(`creating ${name}`);
    const end = Date.now() + ms;
    const timer = setInterval(() => {
      if (Date.now() < end && !cancelled) return;
      clearInterval(timer);
      if (cancelled) return done({ code: grpc.status.UNKNOWN, details: `${name} was cancelled` });
      log(`created ${name}`);
      done(null, filled(messages.CreateResponse, { Id: String(name), Properties: call.request.getProperties() }));
    }, 20);
  },
  read: unary((request) =>
    filled(messages.ReadResponse, {
      Id: request.getId(),
      Properties: request.getProperties(),
      Inputs: request.getInputs(),
    }),
  ),
  update: unary((request) => filled(messages.UpdateResponse, { Properties: request.getNews() })),
  delete: unary((request) => {
    log(`deleted ${request.getId()}`);
    return new Empty();
  }),
  invoke: unary(() => filled(messages.InvokeResponse, { Return: new Struct() })),
  cancel: unary(() => {
    log("cancel");
    cancelled = true;
    return new Empty();
  }),
  attach: unary(() => new Empty()),
};

const server = new grpc.Server();
server.addService(ResourceProviderService, /** @type {any} */ (provider));
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
process.on("SIGINT", () => process.exit(0));
process.stdin.on("close", () => process.exit(0)).resume();
