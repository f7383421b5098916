import { setTimeout as delay } from "node:timers/promises";
import { ClientConnection, type Answer } from "./client-connection.ts";
import type { LoadSpec, WindowResult } from "./load-spec.ts";

/**
 * The load of the bench, a process of its own (why no kept tool: README).
 * One argument: the load as JSON. Writes "begin" when the window opens, then a line
 * of JSON when it has closed and every answer has ended.
 */

const spec = JSON.parse(process.argv[2] ?? "{}") as LoadSpec;
const drainTimeoutMs = 60_000;

const connections: ClientConnection[] = [];
const idle: ClientConnection[] = [];
/** When each request was due that found no idle connection, oldest first. */
const waiting: number[] = [];
const totals = { whole: 0, failed: {} as Record<string, number>, running: 0, streamingMax: 0 };
const sample = { latencies: [] as number[], firstBytes: [] as number[], completed: 0 };
let stopped = false;
let inWindow = false;
let windowFromMs = 0;

function send(connection: ClientConnection, dueMs: number): void {
  totals.running += 1;
  connection.send(dueMs);
}

function onAnswer(answer: Answer, connection: ClientConnection): void {
  totals.running -= 1;
  if (answer.whole) totals.whole += 1;
  else totals.failed[String(answer.status)] = (totals.failed[String(answer.status)] ?? 0) + 1;
  if (inWindow && answer.whole) {
    sample.completed += 1;
    if (answer.startedMs >= windowFromMs) {
      sample.latencies.push(answer.endedMs - answer.startedMs);
      sample.firstBytes.push(answer.firstByteMs - answer.startedMs);
    }
  }
  if (stopped) return;
  if (spec.perSecond === undefined) {
    // A refusal comes at once; asking again at once would only measure refusals.
    if (answer.whole) send(connection, performance.now());
    else setTimeout(() => (stopped ? undefined : send(connection, performance.now())), 20);
    return;
  }
  const dueMs = waiting.shift();
  if (dueMs === undefined) idle.push(connection);
  else send(connection, dueMs);
}

/** Requests at their time, whatever has become of those before. What waits for a connection counts from when it was due. */
async function openLoop(perSecond: number): Promise<void> {
  const fromMs = performance.now();
  let sent = 0;
  while (!stopped) {
    const due = Math.floor(((performance.now() - fromMs) / 1_000) * perSecond);
    for (; sent < due; sent += 1) {
      const connection = idle.pop();
      if (connection !== undefined) send(connection, performance.now());
      else if (waiting.length < spec.connections * 20) waiting.push(performance.now());
    }
    await delay(1);
  }
}

function requestOf(key: string): Buffer {
  const head = [
    "POST /v1/chat/completions HTTP/1.1",
    "host: bench.local",
    "content-type: application/json",
    `authorization: Bearer ${key}`,
    ...spec.headers,
    `content-length: ${String(Buffer.byteLength(spec.body))}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${spec.body}`);
}

async function run(): Promise<WindowResult> {
  for (let index = 0; index < spec.connections; index += 1) {
    const url = spec.urls[index % spec.urls.length] ?? "";
    const request = requestOf(spec.keys[index % spec.keys.length] ?? "");
    connections.push(new ClientConnection({ url, request }, onAnswer));
  }
  const watch = setInterval(() => {
    const streaming = connections.filter((connection) => connection.streaming);
    totals.streamingMax = Math.max(totals.streamingMax, streaming.length);
    if (spec.stall && inWindow) for (const connection of streaming) connection.stall();
  }, 100);
  if (spec.perSecond === undefined) for (const connection of connections) send(connection, performance.now());
  else idle.push(...connections);
  const loop = spec.perSecond === undefined ? Promise.resolve() : openLoop(spec.perSecond);
  await delay(spec.warmUpMs);
  process.stdout.write("begin\n");
  [inWindow, windowFromMs] = [true, performance.now()];
  await delay(spec.seconds * 1_000);
  const windowMs = performance.now() - windowFromMs;
  inWindow = false;
  process.stdout.write("end\n");
  stopped = true;
  await loop;
  const untilMs = performance.now() + drainTimeoutMs;
  while (!spec.cut && totals.running > 0 && performance.now() < untilMs) await delay(10);
  clearInterval(watch);
  const cut = totals.running;
  for (const connection of connections) connection.close();
  return {
    windowMs,
    completed: sample.completed,
    latency: quantiles(sample.latencies),
    firstByte: quantiles(sample.firstBytes),
    whole: totals.whole,
    failed: totals.failed,
    cut,
    streamingMax: totals.streamingMax,
    cpuSeconds: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  };
}

function quantiles(values: readonly number[]): { readonly p50: number; readonly p99: number } {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

process.stdout.write(`${JSON.stringify(await run())}\n`);
