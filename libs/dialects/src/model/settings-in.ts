import type { Fields } from "./fields.ts";
import type { Settings } from "./request.ts";

/** Collects settings with the places where they stood. Values that equal the documented default are left absent. */
export class SettingsDraft {
  readonly settings: { -readonly [Name in keyof Settings]: Settings[Name] } = {};
  readonly paths: Partial<Record<keyof Settings, string>> = {};

  set<Name extends keyof Settings>(name: Name, path: string, value: Settings[Name], usual?: Settings[Name]): void {
    if (value === undefined || value === usual) return;
    this.settings[name] = value;
    this.paths[name] = path;
  }
}

/** The sampling settings that chat, responses and gemini share, by their names there. */
export function samplingIn(
  draft: SettingsDraft,
  fields: Fields,
  names: Readonly<Record<"temperature" | "topP", string>>,
): void {
  draft.set("temperature", fields.at(names.temperature), fields.number(names.temperature, 0, 2));
  draft.set("topP", fields.at(names.topP), fields.number(names.topP, 0, 1));
}

/** Bounds what a client may ask for at all; providers have bounds of their own. */
export const outputTokensMax = 10_000_000;
