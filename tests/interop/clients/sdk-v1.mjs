// @modelcontextprotocol/sdk 1.x: the experimental Tasks of protocol 2025-11-25, and plain calls.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  ElicitRequestSchema,
  TaskStatusNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { Journal, fillIn, until } from "./server.mjs";

const journal = new Journal();
after(() => journal.remove());

async function connect({ capabilities = { elicitation: {} }, plainWaitMs } = {}) {
  const client = new Client({ name: "interop", version: "0" }, { capabilities });
  client.asked = [];
  if (capabilities.elicitation) {
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      client.asked.push(params);
      return fillIn(params);
    });
  }
  const transports = { Stdio: StdioClientTransport, Http: StreamableHTTPClientTransport };
  const { kill } = await journal.connect(client, transports, { plainWaitMs });
  return { client, kill, tasks: client.experimental.tasks };
}

async function create(tasks, name, args = {}) {
  const stream = tasks.callToolStream({ name, arguments: args }, CallToolResultSchema, {
    task: { ttl: 600_000 },
  });
  const { value } = await stream.next();
  assert.equal(value.type, "taskCreated", JSON.stringify(value));
  return { stream, taskId: value.task.taskId, task: value.task };
}

async function rest(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const text = (result) => result.content[0].text;
const status = (tasks, taskId, wanted) =>
  until(
    () => tasks.getTask(taskId),
    (task) => task.status === wanted,
  );

test("a task is created, polled, listed and its result fetched", async () => {
  const { client, tasks } = await connect();
  const told = [];
  client.setNotificationHandler(TaskStatusNotificationSchema, ({ params }) => told.push(params));
  const { stream, taskId, task } = await create(tasks, "slow_compute", { seconds: 1, label: "sum" });
  assert.equal(task.status, "working");
  assert.equal(task.ttl, 600_000);
  const messages = await rest(stream);
  assert.ok(messages.some(({ type }) => type === "taskStatus"));
  assert.equal(text(messages.at(-1).result), 'computed "sum" in 1 s');
  const result = await tasks.getTaskResult(taskId, CallToolResultSchema);
  assert.equal(result._meta["io.modelcontextprotocol/related-task"].taskId, taskId);
  const { tasks: listed } = await tasks.listTasks();
  assert.equal(listed.find((one) => one.taskId === taskId).status, "completed");
  await until(
    () => told,
    () => told.some((one) => one.taskId === taskId && one.status === "completed"),
  );
  await client.close();
});

test("all tasks are on the pages of the list", async () => {
  const { client, tasks } = await connect();
  const made = new Set();
  for (let i = 0; i < 60; i++) made.add((await create(tasks, "slow_compute", { seconds: 0 })).taskId);
  let cursor;
  let pages = 0;
  do {
    const page = await tasks.listTasks(cursor);
    page.tasks.forEach(({ taskId }) => made.delete(taskId));
    cursor = page.nextCursor;
    pages += 1;
  } while (cursor !== undefined);
  assert.equal(made.size, 0);
  assert.ok(pages > 1);
  await client.close();
});

test("a failure is told, the tool's own and the protocol's", async () => {
  const { client, tasks } = await connect();
  const own = await create(tasks, "failing_job");
  assert.equal((await rest(own.stream)).at(-1).type, "error");
  assert.equal((await tasks.getTask(own.taskId)).statusMessage, "failed: this job always fails");
  const result = await tasks.getTaskResult(own.taskId, CallToolResultSchema);
  assert.equal(result.isError, true);
  assert.equal(text(result), "this job always fails");
  const protocol = await create(tasks, "protocol_error_job");
  await status(tasks, protocol.taskId, "failed");
  await assert.rejects(tasks.getTaskResult(protocol.taskId, CallToolResultSchema), {
    code: -32603,
  });
  await client.close();
});

test("a cancel says cancelled at once, and is refused afterwards", async () => {
  const { client, tasks } = await connect();
  const { taskId } = await create(tasks, "slow_compute", { seconds: 3600 });
  assert.equal((await tasks.cancelTask(taskId)).status, "cancelled");
  assert.equal((await tasks.getTask(taskId)).status, "cancelled");
  await assert.rejects(tasks.cancelTask(taskId), { code: -32602 });
  await client.close();
});

test("questions are asked while the result is waited for", async () => {
  const { client, tasks } = await connect();
  const one = await create(tasks, "confirm_delete", { filename: "a.txt" });
  assert.equal(text((await rest(one.stream)).at(-1).result), "a.txt is deleted");
  assert.equal(client.asked[0].message, "Delete a.txt?");
  const two = await create(tasks, "multi_input");
  assert.match(text((await rest(two.stream)).at(-1).result), /Ann.* and .*red/);
  assert.equal(client.asked.length, 3);
  await client.close();
});

test("a handle is good after the server was killed", async () => {
  const first = await connect();
  const { taskId } = await create(first.tasks, "slow_compute", { seconds: 2, label: "long" });
  await first.kill();

  const { client, tasks } = await connect();
  assert.equal((await tasks.getTask(taskId)).taskId, taskId);
  assert.ok((await tasks.listTasks()).tasks.some((task) => task.taskId === taskId));
  assert.equal(text(await tasks.getTaskResult(taskId, CallToolResultSchema)), 'computed "long" in 2 s');
  await client.close();
});

test("a task is cancelled after the server was killed", async () => {
  const first = await connect();
  const { taskId } = await create(first.tasks, "slow_compute", { seconds: 3600 });
  await first.kill();
  const { client, tasks } = await connect();
  assert.equal((await tasks.cancelTask(taskId)).status, "cancelled");
  await client.close();
});

test("a question is asked again after the server was killed", async () => {
  const first = await connect();
  const { taskId } = await create(first.tasks, "confirm_delete", { filename: "b.txt" });
  await status(first.tasks, taskId, "input_required");
  await first.kill();

  const { client, tasks } = await connect();
  await status(tasks, taskId, "input_required");
  assert.equal(text(await tasks.getTaskResult(taskId, CallToolResultSchema)), "b.txt is deleted");
  assert.equal(client.asked.length, 1);
  await client.close();
});

test("a plain call waits, tells its progress and asks", async () => {
  const { client } = await connect();
  const told = [];
  const result = await client.callTool(
    { name: "slow_compute", arguments: { seconds: 1, label: "sum" } },
    CallToolResultSchema,
    { onprogress: ({ message }) => told.push(message) },
  );
  assert.equal(text(result), 'computed "sum" in 1 s');
  assert.ok(told.includes('computing "sum"'));
  const asked = await client.callTool({ name: "confirm_delete", arguments: { filename: "c" } });
  assert.equal(text(asked), "c is deleted");
  await client.close();
});

test("a plain call that outlasts the wait is followed with tools, past a kill", async () => {
  const first = await connect({ capabilities: {}, plainWaitMs: 200 });
  const { tools } = await first.client.listTools();
  assert.ok(tools.some(({ name }) => name === "task_status"));
  const slow = { name: "slow_compute", arguments: { seconds: 1.5, label: "slow" } };
  const taskId = /task ([0-9a-f]{32})/.exec(text(await first.client.callTool(slow)))[1];
  const question = { name: "confirm_delete", arguments: { filename: "d" } };
  const askingId = /task ([0-9a-f]{32})/.exec(text(await first.client.callTool(question)))[1];
  await first.kill();

  const { client } = await connect({ capabilities: {} });
  const look = (id) => ({ name: "task_status", arguments: { task_id: id } });
  assert.match(text(await client.callTool(look(askingId))), /Delete d\?/);
  assert.equal(text(await client.callTool(look(taskId))), 'computed "slow" in 1.5 s');
  const answer = { task_id: askingId, action: "accept", content: { confirm: true } };
  await client.callTool({ name: "task_answer", arguments: answer });
  assert.equal(text(await client.callTool(look(askingId))), "d is deleted");
  await client.close();
});
