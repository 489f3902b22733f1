import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { measureMachine, memoryIn, stealIn, trafficIn } from "../../cloud-init/agent/machine.ts";
import { newMeasures } from "../../cloud-init/agent/measure.ts";
import { measureNetwork } from "../../cloud-init/agent/network.ts";
import { processesOf, proportionalSetSize } from "../../cloud-init/agent/processes.ts";
import { until } from "../harness/checkout.ts";

describe("the machine's measures", () => {
  it("are read off the kernel's texts", () => {
    const memory =
      "MemTotal:       1024 kB\nMemFree: 1 kB\nMemAvailable:    512 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n";
    expect(memoryIn(memory)).toEqual({
      mem_total_bytes: 1_048_576,
      mem_available_bytes: 524_288,
      swap_total_bytes: 102_400,
      swap_used_bytes: 61_440,
    });
    expect(stealIn("cpu  1 2 3 4 5 6 7 80 9 10\ncpu0 1 1\n")).toEqual({ steal_ms: 800 });
    const traffic =
      "Inter-| Receive\n face |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0\n  eth0:100 1 0 0 0 0 0 0 30 1 0\nwlan0: 7 0 0 0 0 0 0 0 9 1\n";
    expect(trafficIn(traffic)).toEqual({ net_rx_bytes: 107, net_tx_bytes: 39 });
  });

  it("leave out what the kernel does not tell", () => {
    expect(memoryIn("MemTotal: 1 kB\n")).toEqual({ mem_total_bytes: 1024 });
    expect(stealIn("cpu  1 2 3\n")).toEqual({});
  });

  it("are there on a real machine, and a failed one stands in the errors", async () => {
    const measures = newMeasures();
    const machine = await measureMachine("/nonexistent", measures);
    expect(machine.mem_total_bytes).toBeGreaterThan(1e8);
    expect(machine.disk_free_bytes).toBeUndefined();
    expect(measures.errors).toEqual([{ field: "machine.disk", code: "ENOENT" }]);
  });
});

describe("the way to the network", () => {
  it("is timed up to the connection, with no name to look up for an address", async () => {
    const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const measures = newMeasures();
    const net = await measureNetwork(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, measures);
    server.close();
    expect(Object.keys(net)).toEqual(["connect_ms"]);
    expect(measures.errors).toEqual([]);
  });

  it("tells which step failed", async () => {
    const server = createServer((socket) => socket.end("no tls\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const measures = newMeasures();
    const net = await measureNetwork(`https://localhost:${(server.address() as AddressInfo).port}`, measures);
    server.close();
    expect(net.tls_ms).toBeUndefined();
    expect(net.dns_ms).toBeGreaterThan(0);
    expect(measures.errors).toHaveLength(1);
    expect(measures.errors[0]?.field).toBe("net.tls_ms");
  });
});

it("a unit's processes are its session and whatever descends from it", async () => {
  const child = spawn("sh", ["-c", "setsid sleep 1000 & sleep 1000 & echo begun; wait"], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  const leader = child.pid ?? 0;
  const pids = processesOf(leader);
  try {
    expect(pids).toHaveLength(3);
    expect(proportionalSetSize(pids)).toBeGreaterThan(50_000);
  } finally {
    for (const pid of pids) process.kill(pid, "SIGKILL");
  }
  await once(child, "close");
  await until("all to be gone", 5_000, () => processesOf(leader).length === 0);
});
