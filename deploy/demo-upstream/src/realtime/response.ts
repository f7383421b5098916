import { setTimeout as delay } from "node:timers/promises";
import { reportedUsage } from "../faults.ts";
import { pieces } from "../text/pieces.ts";
import { textTokens } from "../usage.ts";
import { realtimeUsage, spokenMsPerTextToken, spokenTokensPerTextToken, type SessionTokens } from "./count.ts";
import type { SessionDeps } from "./session.ts";

/** One response of a session, event by event, and its line in the journal. */
export interface ResponseInit extends SessionDeps {
  readonly send: (event: Readonly<Record<string, unknown>>) => void;
  readonly id: string;
  readonly itemId: string;
  readonly conversationId: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly isSpoken: boolean;
  readonly bytesPerMs: number;
  readonly text: string;
  readonly input: SessionTokens;
  readonly cached: SessionTokens;
  /** Aborted with the reason for which it ends early. */
  readonly ends: AbortSignal;
}

/** Never rejects. */
export async function streamResponse(init: ResponseInit): Promise<void> {
  const { send, id, itemId, isSpoken, text, input, cached, ends, model, socket, pace } = init;
  const startedMs = performance.now();
  const base = { id, object: "realtime.response", conversation_id: init.conversationId, metadata: init.metadata };
  const at = { response_id: id, item_id: itemId, output_index: 0, content_index: 0 };
  const item = { id: itemId, object: "realtime.item", type: "message", role: "assistant" };
  const output = { text: 0, audio: 0 };
  const usage = (): Readonly<Record<string, unknown>> | undefined =>
    reportedUsage(model.fault, realtimeUsage(input, cached, output));
  let chunks = 0;
  let said = "";
  const write = (outcome: "finished" | "cut" | "client_gone"): void => {
    init.journal.record({
      endedAt: new Date().toISOString(),
      requestId: init.requestId,
      method: "WS",
      path: "/v1/realtime",
      model: model.id,
      status: 101,
      stream: true,
      outcome,
      bytes: Buffer.byteLength(said),
      chunks,
      outputBytes: Buffer.byteLength(said),
      reportedUsage: outcome === "finished" ? (usage() ?? null) : null,
      trueUsage: { text_in: input.text, audio_in: input.audio, text_out: output.text, audio_out: output.audio },
      durationMs: Math.round(performance.now() - startedMs),
    });
  };
  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: ends }).catch(() => undefined);

  send({ type: "response.created", response: { ...base, status: "in_progress", output: [], usage: null } });
  await pause(pace.firstByteMs);
  send({ type: "response.output_item.added", ...at, item: { ...item, status: "in_progress", content: [] } });
  const part = isSpoken ? { type: "audio", transcript: "" } : { type: "text", text: "" };
  send({ type: "response.content_part.added", ...at, part });
  const delta = isSpoken ? "response.output_audio_transcript.delta" : "response.output_text.delta";
  for (const piece of pieces(text)) {
    if (ends.aborted) break;
    if (model.fault?.kind === "cut" && chunks >= model.fault.afterChunks) {
      write("cut");
      if (model.fault.reset) socket.terminate();
      else socket.close(1011, "cut");
      return;
    }
    if (model.fault?.kind === "silence" && chunks >= model.fault.afterChunks) {
      await new Promise((resolve) => ends.addEventListener("abort", resolve, { once: true }));
      break;
    }
    const before = textTokens(said);
    said += piece;
    chunks += 1;
    const tokens = textTokens(said) - before;
    output.text += tokens;
    send({ type: delta, ...at, delta: piece });
    if (isSpoken && tokens > 0) {
      output.audio += tokens * spokenTokensPerTextToken;
      const sound = Buffer.alloc(tokens * spokenMsPerTextToken * init.bytesPerMs).toString("base64");
      send({ type: "response.output_audio.delta", ...at, delta: sound });
    }
    // Without waits too, what the client says must get its turn.
    await pause(Math.max(pace.msPerChunk, pace.msPerToken * tokens));
  }
  if (ends.reason === "client_gone") {
    write("client_gone");
    return;
  }
  const status = ends.aborted ? "cancelled" : "completed";
  const reason = ends.reason === "turn_detected" ? "turn_detected" : "client_cancelled";
  if (isSpoken) send({ type: "response.output_audio.done", ...at });
  const whole = isSpoken ? { type: "output_audio", transcript: said } : { type: "output_text", text: said };
  send(
    isSpoken
      ? { type: "response.output_audio_transcript.done", ...at, transcript: said }
      : { type: "response.output_text.done", ...at, text: said },
  );
  send({
    type: "response.content_part.done",
    ...at,
    part: { ...part, ...(isSpoken ? { transcript: said } : { text: said }) },
  });
  const done = { ...item, status: ends.aborted ? "incomplete" : "completed", content: [whole] };
  send({ type: "response.output_item.done", ...at, item: done });
  send({
    type: "response.done",
    response: {
      ...base,
      status,
      status_details: ends.aborted ? { type: "cancelled", reason } : null,
      output: [done],
      usage: usage() ?? null,
    },
  });
  send({
    type: "rate_limits.updated",
    rate_limits: [{ name: "tokens", limit: 40_000, remaining: 39_000, reset_seconds: 1 }],
  });
  write("finished");
}
