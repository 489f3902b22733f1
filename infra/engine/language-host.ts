import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import languageGrpc from "@pulumi/pulumi/proto/language_grpc_pb.js";
import languagePb from "@pulumi/pulumi/proto/language_pb.js";
import pluginPb from "@pulumi/pulumi/proto/plugin_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";

/**
 * The least a language host for compiled Node.js programs has to do. The engine starts it as `pulumi-language-nodejs`
 * beside the command line tool, reads its port from standard output, and asks it over gRPC (service `LanguageRuntime`)
 * to run the program. It does what the official host does for a program that needs no compiler: it starts the SDK's own
 * runner, `@pulumi/pulumi/cmd/run`, with the same words and environment.
 */

/** The runner's exit code for an error that it already reported to the engine. */
const bailed = 32;

type Call<Request> = grpc.ServerUnaryCall<Request, unknown>;
type Answer<Response> = grpc.sendUnaryData<Response>;

let engineAddress = process.argv.at(-1) ?? "";
const running = new Set<ChildProcess>();

const host = {
  handshake({ request }: Call<languagePb.LanguageHandshakeRequest>, answer: Answer<unknown>): void {
    engineAddress = request.getEngineAddress();
    answer(null, new languagePb.LanguageHandshakeResponse());
  },
  // No answer is needed: each provider module that the program loads names its plugin when it registers resources.
  getRequiredPlugins(_: unknown, answer: Answer<unknown>): void {
    answer(null, new languagePb.GetRequiredPluginsResponse());
  },
  getRequiredPackages(_: unknown, answer: Answer<unknown>): void {
    answer(null, new languagePb.GetRequiredPackagesResponse());
  },
  getPluginInfo(_: unknown, answer: Answer<unknown>): void {
    const info = new pluginPb.PluginInfo();
    info.setVersion("1.0.0");
    answer(null, info);
  },
  about(_: unknown, answer: Answer<unknown>): void {
    const about = new languagePb.AboutResponse();
    about.setExecutable(process.execPath);
    about.setVersion(process.version);
    answer(null, about);
  },
  getProgramDependencies(_: unknown, answer: Answer<unknown>): void {
    answer(null, new languagePb.GetProgramDependenciesResponse());
  },
  run({ request }: Call<languagePb.RunRequest>, answer: Answer<unknown>): void {
    runProgram(request).then(
      (response) => answer(null, response),
      (error: Error) => answer({ code: grpc.status.INTERNAL, details: error.message }),
    );
  },
  cancel(_: unknown, answer: Answer<unknown>): void {
    endPrograms();
    answer(null, new empty.Empty());
  },
};

/**
 * Runs the program to its end. It writes to our own standard output and error, which the engine reads line by line and
 * shows under the stack while the program runs.
 */
async function runProgram(request: languagePb.RunRequest): Promise<languagePb.RunResponse> {
  const program = request.getInfo();
  const folder = program?.getProgramDirectory() || request.getPwd();
  const response = new languagePb.RunResponse();
  const runner = runnerFrom(folder);
  if (runner === undefined) {
    response.setError(`@pulumi/pulumi is not installed where ${folder} could load it. Run: npm ci`);
    return response;
  }
  const words = ["--monitor", request.getMonitorAddress(), "--engine", engineAddress];
  words.push("--project", request.getProject(), "--stack", request.getStack(), "--pwd", request.getPwd());
  words.push("--organization", request.getOrganization(), "--parallel", String(request.getParallel()));
  words.push("--root-directory", program?.getRootDirectory() || folder);
  if (request.getDryrun()) words.push("--dry-run");

  const child = spawn(
    process.execPath,
    [
      ...nodeArgs(program),
      runner,
      ...words,
      program?.getEntryPoint() || request.getProgram() || ".",
      ...request.getArgsList(),
    ],
    {
      cwd: request.getPwd(),
      env: {
        ...process.env,
        PULUMI_NODEJS_TYPESCRIPT: "false",
        PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
        PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
      },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  running.add(child);
  try {
    const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
      (resolve, reject) => {
        child.on("error", reject);
        child.on("close", (exit, by) => resolve({ code: exit, signal: by }));
      },
    );
    if (code === bailed) response.setBail(true);
    else if (signal !== null) response.setError(`Program was ended by the signal ${signal}`);
    else if (code !== 0) response.setError(`Program exited with non-zero exit code: ${code}`);
    return response;
  } finally {
    running.delete(child);
  }
}

/** Returns what the project's `runtime.options.nodeargs` has for Node.js, which knows no quotes here: words, as blanks part them. */
function nodeArgs(program: languagePb.ProgramInfo | undefined): string[] {
  const { nodeargs } = program?.getOptions()?.toJavaScript() ?? {};
  return typeof nodeargs === "string" ? nodeargs.split(/\s+/).filter((word) => word !== "") : [];
}

/** Returns the SDK's runner that a program in `folder` would load, so that both work with one copy of the SDK. */
function runnerFrom(folder: string): string | undefined {
  try {
    return createRequire(join(folder, "program.cjs")).resolve("@pulumi/pulumi/cmd/run");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

function endPrograms(): void {
  for (const child of running) child.kill("SIGTERM");
}

/** Ends the program and this process: what it was asked to run has no one left to report to. */
function end(): void {
  endPrograms();
  process.exit(0);
}

const server = new grpc.Server({
  "grpc.max_receive_message_length": 400 * 1024 * 1024,
  "grpc.max_send_message_length": 400 * 1024 * 1024,
});
server.addService(languageGrpc.LanguageRuntimeService, host);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${port}\n`);
});
// The engine starts us in a process group of our own: no terminal's Ctrl-C comes here, and SIGINT is how the engine ends
// what it no longer needs. It waits five seconds for that and then kills. Our standard input is a pipe of the engine's,
// which ends when the engine dies.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, end);
process.stdin.on("close", end).resume();
