/** The pages behind the sign-in, in the order of the navigation. */
export const pages = [
  { path: "/", text: "nav.home" },
  { path: "/keys", text: "nav.keys" },
  { path: "/usage", text: "nav.usage" },
  { path: "/security", text: "nav.security" },
] as const;

export type PagePath = (typeof pages)[number]["path"];

/** Only a page of ours is a place to go on to after sign-in; anything else in the address is ignored. */
export function pagePath(value: unknown): PagePath | undefined {
  return pages.find(({ path }) => path === value)?.path;
}
