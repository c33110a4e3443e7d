// The server under test: examples/conformance.rs on a journal of its own, over the transport that
// RELIGHT_TRANSPORT names ("stdio" or "http"). It can be killed and started again under a new client.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const { RELIGHT_SERVER, RELIGHT_TRANSPORT } = process.env;

export class Journal {
  #directory = mkdtempSync(join(tmpdir(), "relight-interop-"));
  #running = new Set();

  // Starts a server and connects the client to it. `transports` are the client's own package's.
  async connect(client, transports, { plainWaitMs } = {}) {
    const args = [join(this.#directory, "journal.db")];
    if (plainWaitMs !== undefined) args.push("--plain-wait-ms", String(plainWaitMs));
    if (RELIGHT_TRANSPORT === "stdio") {
      const transport = new transports.Stdio({
        command: RELIGHT_SERVER,
        args: ["--stdio", ...args],
        stderr: "inherit",
      });
      await client.connect(transport);
      return { transport, kill: () => killStdio(transport) };
    }
    const child = spawn(RELIGHT_SERVER, ["--listen", "127.0.0.1:0", ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#running.add(child);
    const transport = new transports.Http(new URL(`http://${await address(child)}/mcp`));
    await client.connect(transport);
    const before = client.onclose;
    client.onclose = () => {
      before?.();
      child.kill();
    };
    return { transport, kill: () => killHttp(child, client) };
  }

  remove() {
    for (const child of this.#running) child.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

// Where a server says that it listens.
async function address(child) {
  const lines = createInterface({ input: child.stderr });
  for await (const line of lines) {
    const found = /listening on (\S+)/.exec(line);
    if (found) {
      child.stderr.resume();
      return found[1];
    }
  }
  throw new Error("the server does not start");
}

// As `kill -9` does; resolves once the client has noticed.
async function killStdio(transport) {
  const gone = new Promise((resolve) => {
    const before = transport.onclose;
    transport.onclose = () => {
      before?.();
      resolve();
    };
  });
  process.kill(transport.pid, "SIGKILL");
  await gone;
}

// Over HTTP nothing tells a client that its server is gone.
async function killHttp(child, client) {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  await client.close();
}

// Calls until what it returns holds, and returns that.
export async function until(look, holds) {
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Answers a form of the fixtures by the fields that it asks for.
export function fillIn({ requestedSchema }) {
  const values = { confirm: true, name: "Ann", colour: "red" };
  const asked = Object.keys(requestedSchema.properties);
  return { action: "accept", content: Object.fromEntries(asked.map((key) => [key, values[key]])) };
}
