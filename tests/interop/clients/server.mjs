// The server under test: examples/conformance.rs over stdio, on a journal of its own, which can be killed and
// started again under a new client.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { RELIGHT_SERVER } = process.env;

export class Journal {
  #directory = mkdtempSync(join(tmpdir(), "relight-interop-"));

  // What to start: for the stdio transport of either client.
  server({ plainWaitMs } = {}) {
    const args = ["--stdio", join(this.#directory, "journal.db")];
    if (plainWaitMs !== undefined) args.push("--plain-wait-ms", String(plainWaitMs));
    return { command: RELIGHT_SERVER, args, stderr: "inherit" };
  }

  remove() {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

// Kills the server as `kill -9` does, and waits until its client has noticed.
export async function kill(client, transport) {
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
