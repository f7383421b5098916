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
  const streamed = new StreamedResponse(init);
  streamed.begin();
  if (await streamed.speak()) streamed.finish();
}

class StreamedResponse {
  private readonly init: ResponseInit;
  private readonly startedMs = performance.now();
  private readonly output = { text: 0, audio: 0 };
  private chunks = 0;
  private said = "";

  constructor(init: ResponseInit) {
    this.init = init;
  }

  begin(): void {
    const { send, isSpoken } = this.init;
    send({ type: "response.created", response: { ...this.shown, status: "in_progress", output: [], usage: null } });
    send({
      type: "response.output_item.added",
      ...this.at,
      item: { ...this.item, status: "in_progress", content: [] },
    });
    const part = isSpoken ? { type: "audio", transcript: "" } : { type: "text", text: "" };
    send({ type: "response.content_part.added", ...this.at, part });
  }

  /** True when there is somebody to be told of the end. */
  async speak(): Promise<boolean> {
    const { text, ends, model, socket, pace } = this.init;
    const { fault } = model;
    await this.pause(pace.firstByteMs);
    for (const piece of pieces(text)) {
      if (ends.aborted) break;
      if (fault?.kind === "cut" && this.chunks >= fault.afterChunks) {
        this.write("cut");
        if (fault.reset) socket.terminate();
        else socket.close(1011, "cut");
        return false;
      }
      if (fault?.kind === "silence" && this.chunks >= fault.afterChunks) {
        await new Promise((resolve) => ends.addEventListener("abort", resolve, { once: true }));
        break;
      }
      const tokens = this.sayPiece(piece);
      // Without waits too, what the client says must get its turn.
      await this.pause(Math.max(pace.msPerChunk, pace.msPerToken * tokens));
    }
    if (ends.reason !== "client_gone") return true;
    this.write("client_gone");
    return false;
  }

  finish(): void {
    const { send, isSpoken, ends } = this.init;
    const { said } = this;
    const named = isSpoken ? { transcript: said } : { text: said };
    if (isSpoken) send({ type: "response.output_audio.done", ...this.at });
    send({
      type: isSpoken ? "response.output_audio_transcript.done" : "response.output_text.done",
      ...this.at,
      ...named,
    });
    send({ type: "response.content_part.done", ...this.at, part: { type: isSpoken ? "audio" : "text", ...named } });
    const content = [{ type: isSpoken ? "output_audio" : "output_text", ...named }];
    const item = { ...this.item, status: ends.aborted ? "incomplete" : "completed", content };
    send({ type: "response.output_item.done", ...this.at, item });
    const reason = ends.reason === "turn_detected" ? "turn_detected" : "client_cancelled";
    const response = {
      ...this.shown,
      status: ends.aborted ? "cancelled" : "completed",
      status_details: ends.aborted ? { type: "cancelled", reason } : null,
      output: [item],
      usage: this.usage() ?? null,
    };
    send({ type: "response.done", response });
    const limit = { name: "tokens", limit: 40_000, remaining: 39_000, reset_seconds: 1 };
    send({ type: "rate_limits.updated", rate_limits: [limit] });
    this.write("finished");
  }

  /** Its tokens of text. */
  private sayPiece(piece: string): number {
    const { send, isSpoken, bytesPerMs } = this.init;
    const before = textTokens(this.said);
    this.said += piece;
    this.chunks += 1;
    const tokens = textTokens(this.said) - before;
    this.output.text += tokens;
    const type = isSpoken ? "response.output_audio_transcript.delta" : "response.output_text.delta";
    send({ type, ...this.at, delta: piece });
    if (isSpoken && tokens > 0) {
      this.output.audio += tokens * spokenTokensPerTextToken;
      const sound = Buffer.alloc(tokens * spokenMsPerTextToken * bytesPerMs).toString("base64");
      send({ type: "response.output_audio.delta", ...this.at, delta: sound });
    }
    return tokens;
  }

  private get at() {
    const { id, itemId } = this.init;
    return { response_id: id, item_id: itemId, output_index: 0, content_index: 0 };
  }

  private get item() {
    return { id: this.init.itemId, object: "realtime.item", type: "message", role: "assistant" };
  }

  private get shown() {
    const { id, conversationId, metadata } = this.init;
    return { id, object: "realtime.response", conversation_id: conversationId, metadata };
  }

  private usage(): Readonly<Record<string, unknown>> | undefined {
    const { model, input, cached } = this.init;
    return reportedUsage(model.fault, realtimeUsage(input, cached, this.output));
  }

  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.init.ends }).catch(() => undefined);
  }

  private write(outcome: "finished" | "cut" | "client_gone"): void {
    const { journal, requestId, model, input } = this.init;
    const bytes = Buffer.byteLength(this.said);
    journal.record({
      endedAt: new Date().toISOString(),
      requestId,
      method: "WS",
      path: "/v1/realtime",
      model: model.id,
      status: 101,
      stream: true,
      outcome,
      bytes,
      chunks: this.chunks,
      outputBytes: bytes,
      reportedUsage: outcome === "finished" ? (this.usage() ?? null) : null,
      trueUsage: {
        text_in: input.text,
        audio_in: input.audio,
        text_out: this.output.text,
        audio_out: this.output.audio,
      },
      durationMs: Math.round(performance.now() - this.startedMs),
    });
  }
}
