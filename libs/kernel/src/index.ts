export * from "./api-key.ts";
export * from "./clock.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./money.ts";
export * from "./result.ts";
export * from "./scope.ts";
export * from "./sealed-secret.ts";
