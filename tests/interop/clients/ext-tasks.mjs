// @modelcontextprotocol/ext-tasks on @modelcontextprotocol/client 2.x: both dialects, by the era in
// which the client connects (RELIGHT_ERA: "legacy" is 2025-11-25, "modern" is 2026-07-28).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import {
  createApplicationInputHandler,
  createTaskSessionFromClient,
} from "@modelcontextprotocol/ext-tasks/client";
import { Journal, fillIn, until } from "./server.mjs";

const modern = process.env.RELIGHT_ERA === "modern";
const journal = new Journal();
after(() => journal.remove());

const clientInfo = { name: "interop", version: "0" };
const capabilities = { elicitation: {} };

// The client's own codecs do not know the extension's results: ext-tasks has the host send its
// requests beside them, with ids of their own.
function rawDispatch(transport) {
  const waiting = new Map();
  const inner = transport.onmessage;
  let last = 0;
  transport.onmessage = (message, extra) => {
    const answer = message.method === undefined && waiting.get(message.id);
    if (!answer) return inner(message, extra);
    waiting.delete(message.id);
    const { result, error } = message;
    answer(error === undefined ? { kind: "result", result } : { kind: "error", error });
  };
  return (request) =>
    new Promise((resolve, reject) => {
      const id = `raw-${(last += 1)}`;
      waiting.set(id, resolve);
      transport.send({ jsonrpc: "2.0", id, ...request }).catch(reject);
    });
}

async function connect() {
  const versionNegotiation = modern ? { mode: "auto" } : undefined;
  const client = new Client(clientInfo, { capabilities, versionNegotiation });
  const transports = { Stdio: StdioClientTransport, Http: StreamableHTTPClientTransport };
  const { transport, kill } = await journal.connect(client, transports);
  assert.equal(client.getProtocolEra(), modern ? "modern" : "legacy");
  const raw = modern && {
    rawDispatch: rawDispatch(transport),
    v2RequestFraming: {
      protocolVersion: "2026-07-28",
      clientInfo,
      clientCapabilities: capabilities,
    },
  };
  const asked = [];
  const refuse = () => {
    throw new Error("not asked for in these tests");
  };
  const session = createTaskSessionFromClient(client, {
    endpointId: "fixtures",
    ...raw,
    onInputRequest: createApplicationInputHandler({
      elicitation: ({ params }) => {
        asked.push(params);
        return fillIn(params);
      },
      sampling: refuse,
      roots: refuse,
    }),
  });
  const close = async () => {
    await session.close();
    await client.close();
  };
  return { kill, session, asked, close };
}

const call = (session, name, args = {}) =>
  session.callTool(name, args, { task: { preference: "require" } });
const text = (outcome) => outcome.result.content[0].text;
const settled = async (execution) => (await execution.settle()).outcome;
const status = (session, taskId, wanted) =>
  until(
    () => session.task(taskId).snapshot(),
    (task) => task.status === wanted,
  );

test("a task is created, polled and settled", async () => {
  const { session, close } = await connect();
  const execution = await call(session, "slow_compute", { seconds: 1, label: "sum" });
  assert.equal(execution.kind, "task");
  const view = await session.task(execution.handle.taskId).snapshot();
  assert.ok(view.statusMessage.length > 0);
  assert.equal(text(await settled(execution)), 'computed "sum" in 1 s');
  await close();
});

test("tasks are listed where the dialect has a list", async () => {
  const { session, close } = await connect();
  const execution = await call(session, "slow_compute", { seconds: 0 });
  await settled(execution);
  assert.equal(session.capabilities.inventory, modern ? "known-handles" : "server-list");
  if (!modern) {
    const { tasks } = await session.listTasks();
    assert.ok(tasks.some(({ taskId }) => taskId === execution.handle.taskId));
  }
  await close();
});

test("a failure is told, the tool's own and the protocol's", async () => {
  const { session, close } = await connect();
  const own = await settled(await call(session, "failing_job"));
  if (modern) {
    assert.equal(own.status, "completed");
    assert.equal(own.result.isError, true);
    assert.equal(text(own), "this job always fails");
  } else {
    assert.equal(own.status, "failed");
    assert.match(own.error.message, /this job always fails/);
  }
  const protocol = await settled(await call(session, "protocol_error_job"));
  assert.equal(protocol.status, "failed");
  assert.match(protocol.error.message, /this job always breaks/);
  await close();
});

test("a cancelled task ends", async () => {
  const { session, close } = await connect();
  const execution = await call(session, "slow_compute", { seconds: 3600 });
  const { taskId } = execution.handle;
  await execution.cancel();
  await status(session, taskId, "cancelled");
  await close();
});

test("questions are answered", async () => {
  const { session, asked, close } = await connect();
  const one = await call(session, "confirm_delete", { filename: "a.txt" });
  assert.equal(text(await settled(one)), "a.txt is deleted");
  assert.equal(asked[0].message, "Delete a.txt?");
  const two = await call(session, "multi_input");
  assert.match(text(await settled(two)), /Ann.* and .*red/);
  assert.equal(asked.length, 3);
  await close();
});

test("a task is resumed after the server was killed", async () => {
  const first = await connect();
  const execution = await call(first.session, "slow_compute", { seconds: 2, label: "long" });
  const reference = execution.serializeReference();
  await execution.detach();
  await first.kill();

  const { session, close } = await connect();
  assert.equal(text(await settled(await session.resumeTask(reference))), 'computed "long" in 2 s');
  await close();
});

test("a question is answered after the server was killed", async () => {
  const first = await connect();
  const execution = await call(first.session, "confirm_delete", { filename: "b.txt" });
  const reference = execution.serializeReference();
  await execution.detach();
  await status(first.session, reference.taskId, "input_required");
  await first.kill();

  const { session, asked, close } = await connect();
  assert.equal(text(await settled(await session.resumeTask(reference))), "b.txt is deleted");
  assert.equal(asked.length, 1);
  await close();
});

test("a task is cancelled after the server was killed", async () => {
  const first = await connect();
  const execution = await call(first.session, "slow_compute", { seconds: 3600 });
  const { taskId } = execution.handle;
  await execution.detach();
  await first.kill();

  const { session, close } = await connect();
  await session.cancelTask(taskId);
  await status(session, taskId, "cancelled");
  await close();
});
