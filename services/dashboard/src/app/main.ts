import { satisfyPolicy } from "./policy.ts";

// The page itself is a bundle of its own: nothing of it runs before this line.
satisfyPolicy();
await import("./start.tsx");
