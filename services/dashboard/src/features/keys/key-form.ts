import { keyChangeBody, keyCreateBody, type ApiKey } from "@codex/contracts";
import { formatAmount } from "@codex/kernel/money";
import type { KeyChange, KeyDraft } from "./api/keys.ts";

/** The settings of a key as they are typed: one text a field. Empty = no restriction. */
export interface KeyForm {
  readonly name: string;
  readonly environment: "live" | "test";
  /** Separated by commas. */
  readonly tags: string;
  /** As `<input type="datetime-local">` has it, in the reader's zone: "2026-11-26T14:30". */
  readonly expiresAt: string;
  /** Tokens, with a comma or a point. */
  readonly daily: string;
  readonly monthly: string;
  readonly total: string;
  /** Whole numbers. */
  readonly requestsPerMinute: string;
  readonly tokensPerMinute: string;
  readonly concurrentRequests: string;
  /** One a line. */
  readonly models: string;
  readonly allowedIps: string;
}
export type KeyField = keyof KeyForm;

export const emptyForm: KeyForm = {
  name: "",
  environment: "live",
  tags: "",
  expiresAt: "",
  daily: "",
  monthly: "",
  total: "",
  requestsPerMinute: "",
  tokensPerMinute: "",
  concurrentRequests: "",
  models: "",
  allowedIps: "",
};

export function formOf(key: ApiKey): KeyForm {
  const { caps, limits } = key;
  return {
    name: key.name,
    environment: key.environment,
    tags: key.tags.join(", "),
    expiresAt: key.expiresAt === null ? "" : localTime(new Date(key.expiresAt)),
    daily: plainAmount(caps?.daily),
    monthly: plainAmount(caps?.monthly),
    total: plainAmount(caps?.total),
    requestsPerMinute: plainCount(limits?.requestsPerMinute),
    tokensPerMinute: plainCount(limits?.tokensPerMinute),
    concurrentRequests: plainCount(limits?.concurrentRequests),
    models: (key.models ?? []).join("\n"),
    allowedIps: (key.allowedIps ?? []).join("\n"),
  };
}

/** What was typed, in the form of the wire, or the fields that make no sense. */
export type Read<Body> =
  { readonly ok: true; readonly body: Body } | { readonly ok: false; readonly faults: ReadonlySet<KeyField> };

/** Of a new key: fields left empty are not sent. */
export function readDraft(form: KeyForm, now: number): Read<KeyDraft> {
  const given = Object.entries(settingsOf(form)).filter(([, value]) => value !== null);
  const draft = { name: form.name.trim(), environment: form.environment, ...Object.fromEntries(given) };
  const faults = faultsOf(keyCreateBody.safeParse(draft), form, now);
  return faults.size > 0 ? { ok: false, faults } : { ok: true, body: draft };
}

/** Of a change: what is as before is not sent, so that it does not undo what another page set meanwhile. */
export function readChange(before: KeyForm, after: KeyForm, now: number): Read<KeyChange["change"]> {
  const old: Readonly<Record<string, unknown>> = { name: before.name, ...settingsOf(before) };
  const changed = Object.entries({ name: after.name.trim(), ...settingsOf(after) }).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]),
  );
  const change = Object.fromEntries(changed);
  if (changed.length === 0) return { ok: true, body: {} };
  const faults = faultsOf(keyChangeBody.safeParse(change), "expiresAt" in change ? after : emptyForm, now);
  return faults.size > 0 ? { ok: false, faults } : { ok: true, body: change };
}

function settingsOf(form: KeyForm) {
  const caps = { daily: amountOf(form.daily), monthly: amountOf(form.monthly), total: amountOf(form.total) };
  const limits = {
    requestsPerMinute: countOf(form.requestsPerMinute),
    tokensPerMinute: countOf(form.tokensPerMinute),
    concurrentRequests: countOf(form.concurrentRequests),
  };
  return {
    tags: wordsOf(form.tags, ","),
    caps: orNull(caps),
    limits: orNull(limits),
    models: listOrNull(wordsOf(form.models, "\n")),
    allowedIps: listOrNull(wordsOf(form.allowedIps, "\n")),
    expiresAt: instantOf(form.expiresAt),
  };
}

interface Parsed {
  readonly error?: { readonly issues: readonly { readonly path: readonly PropertyKey[] }[] } | undefined;
}

/** The contract judges; only that an end is in the future it cannot know. */
function faultsOf({ error }: Parsed, { expiresAt }: KeyForm, now: number): Set<KeyField> {
  const faults = new Set<KeyField>();
  for (const { path } of error?.issues ?? []) faults.add(fieldOf(path));
  if (expiresAt !== "" && !(new Date(expiresAt).getTime() > now)) faults.add("expiresAt");
  return faults;
}

/** ["caps", "daily"] → daily; ["tags", 0] → tags. The service's pointers are of the same form. */
function fieldOf(path: readonly PropertyKey[]): KeyField {
  const found = path.toReversed().find((part): part is KeyField => typeof part === "string" && part in emptyForm);
  return found ?? "name";
}

/** "/caps/daily" of a refusal's list of wrong fields. */
export function fieldAt(pointer: string): KeyField {
  return fieldOf(pointer.split("/"));
}

function wordsOf(text: string, separator: "," | "\n"): string[] {
  return text
    .split(separator)
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function listOrNull(words: string[]): string[] | null {
  return words.length === 0 ? null : words;
}

function orNull<Values extends object>(values: Values): Values | null {
  return Object.values(values).every((value) => value === null) ? null : values;
}

/** "1 234,5" → "1234.5"; whether it is an amount the contract says. */
function amountOf(text: string): string | null {
  const plain = text.replaceAll(/\s/g, "").replace(",", ".");
  return plain === "" ? null : plain;
}

/** -1 for what is no whole number: the contract refuses it. */
function countOf(text: string): number | null {
  const plain = text.replaceAll(/\s/g, "");
  if (plain === "") return null;
  return /^\d+$/.test(plain) ? Number(plain) : -1;
}

function instantOf(local: string): string | null {
  if (local === "") return null;
  const time = new Date(local);
  return Number.isNaN(time.getTime()) ? local : time.toISOString();
}

/** Date → "2026-11-26T14:30" in the reader's zone. */
function localTime(time: Date): string {
  const minuteMs = 60_000;
  return new Date(time.getTime() - time.getTimezoneOffset() * minuteMs).toISOString().slice(0, 16);
}

/** 12500000n → "12.5" */
function plainAmount(value: bigint | null | undefined): string {
  return value === null || value === undefined ? "" : formatAmount(value).replace(/\.?0+$/, "");
}

function plainCount(value: number | null | undefined): string {
  return value === null || value === undefined ? "" : String(value);
}
