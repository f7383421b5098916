import { writeFileSync } from "node:fs";

// Loaded into each service by --import. On SIGUSR2 it writes what every object of that process inherits that it should not
// (SEC-111), and how long the process lives: a process that answers is the one that was started.

const born = Object.getOwnPropertyNames(Object.prototype);

process.on("SIGUSR2", () => {
  const added = Object.getOwnPropertyNames(Object.prototype).filter((name) => !born.includes(name));
  const report = { pid: process.pid, added, isAdmin: {}.isAdmin === undefined ? null : String({}.isAdmin) };
  writeFileSync(process.env.ABUSE_PROTOTYPE_FILE, JSON.stringify(report));
});
