import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EmbeddedServer, startEmbedded } from "../../../collector/store/embedded.ts";
import { eventually } from "../../practice/network-process.ts";

const source = fileURLToPath(new URL("../../../collector/store/embedded.ts", import.meta.url));
const silent = (): void => undefined;

let top = "";
let folder = "";
let servers: EmbeddedServer[] = [];

beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), "embedded-postgres-"));
  folder = join(top, "data");
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.stop();
  await rm(top, { recursive: true, force: true });
});

async function start(): Promise<EmbeddedServer> {
  const server = await startEmbedded(folder, silent);
  servers.push(server);
  return server;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts a server in a process of its own, which can be killed as a collector can. */
async function startElsewhere(): Promise<{ kill(): Promise<void>; url: string }> {
  const script = `
    import { startEmbedded } from ${JSON.stringify(source)};
    const server = await startEmbedded(${JSON.stringify(folder)}, () => undefined);
    process.send(server.url("postgres"));
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const [url] = (await once(child, "message")) as [string];
  return {
    url,
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

describe("the embedded PostgreSQL", () => {
  it("is version 18, keeps what was written over a restart, and needs its password", async () => {
    const first = await start();
    expect(
      await query(first.url("postgres"), "select current_setting('server_version_num')::int / 10000 as major"),
    ).toEqual([{ major: 18 }]);
    await query(first.url("postgres"), "create table kept as select 7 as value");
    await first.stop();
    const second = await start();
    expect(await query(second.url("postgres"), "table kept")).toEqual([{ value: 7 }]);
    const wrong = new URL(second.url("postgres"));
    wrong.password = "wrong";
    await expect(query(wrong.href, "select 1")).rejects.toMatchObject({ code: "28P01" });
    expect((await stat(join(folder, "password"))).mode & 0o077).toBe(0);
  });

  it("ends when its collector is killed, and the next one goes on with the same data at once", async () => {
    const before = await startElsewhere();
    await query(before.url, "create table kept as select 1 as value");
    await before.kill();
    const after = await start();
    expect(await query(after.url("postgres"), "table kept")).toEqual([{ value: 1 }]);
    await expect(query(before.url, "select 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("leaves no server behind a killed collector", async () => {
    const killed = await startElsewhere();
    await killed.kill();
    await eventually("the server's end", async () => {
      const text = existsSync(join(folder, "cluster", "data", "postmaster.pid"));
      return text ? undefined : true;
    });
  });

  it("makes a data folder anew that a crash left half-made", async () => {
    await mkdir(join(folder, "cluster", "data.new"), { recursive: true });
    await writeFile(join(folder, "cluster", "data.new", "PG_VERSION"), "18\n");
    const server = await start();
    expect(await query(server.url("postgres"), "select 1 as value")).toEqual([{ value: 1 }]);
    expect(existsSync(join(folder, "cluster", "data.new"))).toBe(false);
  });

  it("starts over a postmaster.pid that names a process which is none of ours", async () => {
    await (await start()).stop();
    const file = join(folder, "cluster", "data", "postmaster.pid");
    await writeFile(file, `${process.pid}\n/elsewhere\n1\n5432\n\n127.0.0.1\n1 1\nready\n`);
    const server = await start();
    expect(await query(server.url("postgres"), "select 1 as value")).toEqual([{ value: 1 }]);
  });

  it("refuses a data folder of another major version in one sentence", async () => {
    await mkdir(join(folder, "cluster", "data"), { recursive: true });
    await writeFile(join(folder, "cluster", "data", "PG_VERSION"), "17\n");
    await expect(start()).rejects.toMatchObject({
      code: "bad-input",
      problems: [
        {
          path: "DATA_DIR",
          message: expect.stringContaining("PostgreSQL 17"),
          fix: expect.stringContaining("npm run db:upgrade"),
        },
      ],
    });
  });

  it("never touches a folder called data that is no data folder", async () => {
    await mkdir(join(folder, "cluster", "data"), { recursive: true });
    await writeFile(join(folder, "cluster", "data", "thesis.txt"), "irreplaceable");
    await expect(start()).rejects.toMatchObject({ problems: [{ path: "DATA_DIR" }] });
    expect(await readFile(join(folder, "cluster", "data", "thesis.txt"), "utf8")).toBe("irreplaceable");
  });

  it("refuses a second collector on the same folder and names the option", async () => {
    await start();
    await expect(startEmbedded(folder, silent)).rejects.toMatchObject({
      problems: [{ path: "DATA_DIR", message: expect.stringContaining("another collector") }],
    });
  });

  it("tells its ending that nobody asked for", async () => {
    const server = await start();
    const [row] = (await query(
      server.url("postgres"),
      "select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)::int as pid",
    )) as { pid: number }[];
    process.kill(row?.pid ?? 0, "SIGKILL");
    expect(await server.ended).toContain("ended by itself");
  });

  it("runs under nobody's account from a folder where only root may enter, and adds none", async () => {
    if (process.getuid?.() !== 0) return;
    await chmod(top, 0o700);
    const accounts = await readFile("/etc/passwd", "utf8");
    const server = await start();
    const [row] = (await query(
      server.url("postgres"),
      "select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)::int as pid",
    )) as { pid: number }[];
    const status = await readFile(`/proc/${row?.pid}/status`, "utf8");
    const uid = Number(/^Uid:\s+([0-9]+)/m.exec(status)?.[1]);
    expect(uid).toBeGreaterThan(0);
    expect(accounts.split("\n").some((line) => line.split(":")[2] === String(uid))).toBe(false);
    expect(await readFile("/etc/passwd", "utf8")).toBe(accounts);
  });
});
