import { randomUUID } from "node:crypto";
import type { WebSocket } from "ws";
import { generate } from "../generate.ts";
import type { Journal } from "../journal.ts";
import type { Model } from "../models.ts";
import type { Pace } from "../pace.ts";
import { noCache, textTokens, truncateToTokens } from "../usage.ts";
import { clientEvent, type ClientEvent, type ClientItem, type ResponseSettings } from "./client-events.ts";
import { inputTokens, spokenTokensPerTextToken, type CountedItem, type SessionTokens } from "./count.ts";
import { streamResponse } from "./response.ts";
import { VoiceActivity } from "./voice-activity.ts";

/** One realtime session: its conversation, and the order of events that the vendor documents. */

export interface SessionDeps {
  readonly socket: WebSocket;
  readonly model: Model;
  readonly requestId: string;
  readonly journal: Journal;
  readonly pace: Pace;
}

interface Item extends CountedItem {
  readonly id: string;
  readonly role: string;
  readonly shown: Readonly<Record<string, unknown>>;
}

const eventBytesMax = 16_000_000;
const bytesPerMsOf = (format: string): number => (format === "audio/pcm" ? 48 : 8);
const silentSession = { text: 0, audio: 0 };

class DemoRealtimeSession {
  private readonly deps: SessionDeps;
  private readonly items: Item[] = [];
  private readonly running = new Map<string, { readonly ends: AbortController; readonly inConversation: boolean }>();
  private instructions = "You are a demo.";
  private modalities: readonly string[] = ["audio"];
  private outputTokensMax: number | "inf" = "inf";
  private inputFormat = "audio/pcm";
  private outputFormat = "audio/pcm";
  /** Shown as it was set; nothing is transcribed. */
  private transcription: unknown = null;
  private tracing: unknown = null;
  private voiceActivity: VoiceActivity | undefined = new VoiceActivity(48);
  private bufferedMs = 0;
  private read: SessionTokens = silentSession;

  constructor(deps: SessionDeps) {
    this.deps = deps;
    deps.socket.on("message", (data) => {
      this.hear(Buffer.isBuffer(data) ? data.toString("utf8") : "");
    });
    deps.socket.on("error", () => undefined);
    deps.socket.once("close", () => {
      for (const { ends } of this.running.values()) ends.abort("client_gone");
    });
  }

  begin(): void {
    this.send({ type: "session.created", session: this.session() });
  }

  private hear(text: string): void {
    let parsed: ReturnType<typeof clientEvent.safeParse>;
    try {
      if (text.length > eventBytesMax) throw new Error("too long");
      parsed = clientEvent.safeParse(JSON.parse(text));
    } catch {
      this.refuse("invalid_json", "The event is no JSON.", undefined);
      return;
    }
    if (parsed.success) this.obey(parsed.data);
    else this.refuse("invalid_event", parsed.error.issues[0]?.message ?? "", idOf(text));
  }

  private obey(event: ClientEvent): void {
    switch (event.type) {
      case "session.update":
        this.update(event.session);
        return;
      case "input_audio_buffer.append":
        this.append(Buffer.from(event.audio, "base64"));
        return;
      case "input_audio_buffer.commit":
        if (this.bufferedMs === 0) this.refuse("input_audio_buffer_commit_empty", "Nothing was said.", event.event_id);
        else this.commit();
        return;
      case "input_audio_buffer.clear":
        this.bufferedMs = 0;
        this.send({ type: "input_audio_buffer.cleared" });
        return;
      case "conversation.item.create":
        this.add(this.itemOf(event.item));
        return;
      case "response.create":
        if (this.busy && event.response?.conversation !== "none")
          this.refuse("conversation_already_has_active_response", "One at a time.", event.event_id);
        else this.respond(event.response ?? {});
        return;
      case "response.cancel": {
        const ids = event.response_id === undefined ? [...this.running.keys()] : [event.response_id];
        for (const id of ids) this.running.get(id)?.ends.abort("cancelled");
      }
    }
  }

  private get busy(): boolean {
    return [...this.running.values()].some(({ inConversation }) => inConversation);
  }

  private update(session: Extract<ClientEvent, { type: "session.update" }>["session"]): void {
    this.instructions = session.instructions ?? this.instructions;
    this.modalities = session.output_modalities ?? this.modalities;
    this.outputTokensMax = session.max_output_tokens ?? this.outputTokensMax;
    const { input, output } = session.audio ?? {};
    this.inputFormat = input?.format?.type ?? this.inputFormat;
    this.transcription = input?.["transcription"] ?? this.transcription;
    this.tracing = session["tracing"] ?? this.tracing;
    this.outputFormat = output?.format?.type ?? this.outputFormat;
    if (input?.turn_detection === null) this.voiceActivity = undefined;
    else if (input?.turn_detection) this.voiceActivity = new VoiceActivity(bytesPerMsOf(this.inputFormat));
    this.send({ type: "session.updated", session: this.session() });
  }

  private append(sound: Buffer): void {
    this.bufferedMs += sound.length / bytesPerMsOf(this.inputFormat);
    const heard = this.voiceActivity?.hear(sound);
    if (heard === "started") this.send({ type: "input_audio_buffer.speech_started", item_id: newId("item") });
    if (heard !== "stopped") return;
    this.send({ type: "input_audio_buffer.speech_stopped", item_id: newId("item") });
    // Who speaks into an answer interrupts it.
    for (const { ends, inConversation } of this.running.values()) if (inConversation) ends.abort("turn_detected");
    this.commit();
    this.respond({});
  }

  private commit(): void {
    const item: Item = {
      id: newId("item"),
      role: "user",
      text: "",
      heardMs: this.bufferedMs,
      spokenTokens: 0,
      shown: { type: "message", role: "user", content: [{ type: "input_audio", transcript: null }] },
    };
    this.bufferedMs = 0;
    this.send({
      type: "input_audio_buffer.committed",
      item_id: item.id,
      previous_item_id: this.items.at(-1)?.id ?? null,
    });
    this.add(item);
  }

  private add(item: Item): void {
    const previous = this.items.at(-1)?.id ?? null;
    this.items.push(item);
    const shown = { id: item.id, object: "realtime.item", status: "completed", ...item.shown };
    this.send({ type: "conversation.item.added", previous_item_id: previous, item: shown });
    this.send({ type: "conversation.item.done", previous_item_id: previous, item: shown });
  }

  private itemOf(item: ClientItem): Item {
    const parts = item.content ?? [];
    const sound = parts.reduce((bytes, { audio = "" }) => bytes + Buffer.from(audio, "base64").length, 0);
    return {
      id: item.id ?? newId("item"),
      role: item.role ?? "tool",
      text: parts.map(({ text = "" }) => text).join("\n") + (item.output ?? ""),
      heardMs: sound / bytesPerMsOf(this.inputFormat),
      spokenTokens: 0,
      shown: { ...item, content: parts.map((part) => withoutSound(part)) },
    };
  }

  private respond(settings: ResponseSettings): void {
    const inConversation = settings.conversation !== "none";
    const items = settings.input ? settings.input.map((item) => this.itemOf(item)) : [...this.items];
    const instructions = settings.instructions ?? this.instructions;
    const input = inputTokens(instructions, items);
    const { read } = this;
    const cached = inConversation
      ? { text: Math.min(read.text, input.text), audio: Math.min(read.audio, input.audio) }
      : silentSession;
    if (inConversation) this.read = input;
    const isSpoken = (settings.output_modalities ?? this.modalities).includes("audio");
    const id = newId("resp");
    const ends = new AbortController();
    this.running.set(id, { ends, inConversation });
    const text = this.answerTo(items, settings, isSpoken);
    const item: Item = {
      id: newId("item"),
      role: "assistant",
      text,
      heardMs: 0,
      spokenTokens: isSpoken ? textTokens(text) * spokenTokensPerTextToken : 0,
      shown: { type: "message", role: "assistant" },
    };
    if (inConversation) this.items.push(item);
    void streamResponse({
      ...this.deps,
      send: (event) => this.send(event),
      id,
      itemId: item.id,
      conversationId: inConversation ? "conv_demo" : null,
      metadata: settings.metadata ?? null,
      isSpoken,
      bytesPerMs: bytesPerMsOf(this.outputFormat),
      text,
      input,
      cached,
      ends: ends.signal,
    }).finally(() => this.running.delete(id));
  }

  private answerTo(items: readonly Item[], settings: ResponseSettings, isSpoken: boolean): string {
    const { model } = this.deps;
    const { choices } = generate({
      model,
      items: [],
      cache: noCache,
      userText: items.findLast(({ role }) => role === "user")?.text ?? "",
      toolResult: undefined,
      choices: 1,
      outputTokensMax: undefined,
      stops: [],
      tools: [],
      toolChoice: { kind: "none" },
      parallelToolCalls: false,
      thinkingRounds: 0,
      jsonSchema: undefined,
    });
    const text = choices[0]?.text ?? "";
    const bound = settings.max_output_tokens ?? this.outputTokensMax;
    if (bound === "inf" || model.fault?.kind === "unbounded") return text;
    return truncateToTokens(text, Math.floor(bound / (isSpoken ? 1 + spokenTokensPerTextToken : 1)));
  }

  private session(): Readonly<Record<string, unknown>> {
    return {
      type: "realtime",
      object: "realtime.session",
      id: `sess_${this.deps.requestId}`,
      model: this.deps.model.id,
      output_modalities: this.modalities,
      instructions: this.instructions,
      tools: [],
      tool_choice: "auto",
      max_output_tokens: this.outputTokensMax,
      tracing: this.tracing,
      audio: {
        input: {
          format: { type: this.inputFormat },
          transcription: this.transcription,
          turn_detection: this.voiceActivity ? { type: "server_vad", silence_duration_ms: 200 } : null,
        },
        output: { format: { type: this.outputFormat }, voice: "demo", speed: 1 },
      },
    };
  }

  private refuse(code: string, message: string, eventId: string | undefined): void {
    const error = { type: "invalid_request_error", code, message, param: null, event_id: eventId ?? null };
    this.send({ type: "error", error });
  }

  private send(event: Readonly<Record<string, unknown>>): void {
    const { socket } = this.deps;
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ event_id: newId("event"), ...event }));
  }
}

/** Lives as long as its socket. */
export function startSession(deps: SessionDeps): void {
  new DemoRealtimeSession(deps).begin();
}

/** A part as a session shows it: what was said is not repeated. */
function withoutSound(part: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(part).filter(([name]) => name !== "audio"));
}

function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}

function idOf(text: string): string | undefined {
  return /"event_id"\s*:\s*"([\w.-]{1,512})"/.exec(text)?.[1];
}
