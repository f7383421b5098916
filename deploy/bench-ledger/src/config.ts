/** Where this machine looks for programs. */
export function searchPath(): string {
  return process.env["PATH"] ?? "";
}
