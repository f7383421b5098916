import type { Permission } from "@codex/contracts";

interface PageEntry {
  readonly path: string;
  readonly text: string;
  /** Only for operators who have it; for everybody else the page does not exist. */
  readonly permission?: Permission;
}

/** The pages behind the sign-in, in the order of the navigation. */
export const pages = [
  { path: "/", text: "nav.home" },
  { path: "/keys", text: "nav.keys" },
  { path: "/usage", text: "nav.usage" },
  { path: "/account", text: "nav.account" },
  { path: "/security", text: "nav.security" },
] as const satisfies readonly PageEntry[];

export const operatorPages = [
  { path: "/operator/accounts", text: "nav.accounts", permission: "accounts.read" },
  { path: "/operator/invitations", text: "nav.invitations", permission: "accounts.invite" },
  { path: "/operator/acts", text: "nav.acts", permission: "acts.read" },
] as const satisfies readonly PageEntry[];

export type PagePath = (typeof pages)[number]["path"] | (typeof operatorPages)[number]["path"];

/** Only a page of ours is a place to go on to after sign-in; anything else in the address is ignored. */
export function pagePath(value: unknown): PagePath | undefined {
  return [...pages, ...operatorPages].find(({ path }) => path === value)?.path;
}
