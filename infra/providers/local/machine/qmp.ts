import { closeSync, openSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { ExplainedError } from "../../../problem.ts";

/**
 * Says one command to an emulator by its monitor socket and returns its answer.
 * Throws `no-monitor` where nothing answers within `deadlineMs`, or where the emulator refuses the command.
 * Protocol: https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
export async function monitorCommand(socket: string, command: string, deadlineMs = 5000): Promise<unknown> {
  // A socket's path may have 107 bytes and a home folder's may have more: the folder is named by its descriptor.
  const folder = openSync(dirname(socket), "r");
  const stream = connect(join(`/proc/self/fd/${folder}`, socket.slice(dirname(socket).length + 1)));
  const failed = (why: string): ExplainedError =>
    new ExplainedError(
      "no-monitor",
      `The machine's monitor ${socket} did not do ${command}: ${why}.`,
      "Look at qemu.log beside it.",
    );
  try {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(failed(`no answer within ${deadlineMs / 1000} s`)), deadlineMs);
      let text = "";
      stream
        .setEncoding("utf8")
        .once("error", (error) => reject(failed(error.message)))
        .once("close", () => {
          clearTimeout(late);
          reject(failed("it closed"));
        })
        .on("data", (chunk: string) => {
          const lines = (text + chunk).split("\n");
          text = lines.pop() ?? "";
          for (const line of lines) {
            const said = JSON.parse(line) as { QMP?: unknown; return?: unknown; id?: string; error?: { desc: string } };
            if (said.QMP !== undefined) {
              stream.write(`{"execute":"qmp_capabilities"}\n{"execute":${JSON.stringify(command)},"id":"asked"}\n`);
            } else if (said.error !== undefined) reject(failed(said.error.desc));
            else if (said.id === "asked") resolve(said.return);
          }
        });
    });
  } finally {
    stream.destroy();
    closeSync(folder);
  }
}
