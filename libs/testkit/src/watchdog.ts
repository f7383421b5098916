import { spawn } from "node:child_process";
import net from "node:net";
import { childEnvironment } from "./config.ts";

/**
 * Node has no PDEATHSIG, so a process that is killed with -9 would leave its servers running. A shell of one megabyte
 * waits at the other end of a pipe: when the pipe ends without the word "done", the process that held it is gone, and
 * the shell stops the servers (softly, then with -9 after ten seconds) and removes the data of a test run.
 * POSIX sh only, so it needs nothing that Debian or macOS does not have.
 */
const script = `
trap '' INT TERM HUP QUIT
list=''
while read -r verb pid signal; do
  case "$verb" in
    watch) list="$list $pid:$signal" ;;
    forget)
      kept=''
      for entry in $list; do [ "\${entry%%:*}" = "$pid" ] || kept="$kept $entry"; done
      list="$kept" ;;
    done) exit 0 ;;
  esac
done
for entry in $list; do kill -s "\${entry#*:}" "\${entry%%:*}" 2>/dev/null; done
tries=0
while [ $tries -lt 100 ]; do
  alive=''
  for entry in $list; do kill -0 "\${entry%%:*}" 2>/dev/null && alive=yes; done
  [ -z "$alive" ] && break
  tries=$((tries + 1))
  sleep 0.1
done
for entry in $list; do kill -s KILL "\${entry%%:*}" 2>/dev/null; done
[ $# -gt 0 ] && rm -rf -- "$@"
exit 0
`;

export interface Watchdog {
  /** From now on this process is stopped with the signal when we die. */
  watch(pid: number, signal: "INT" | "TERM"): void;
  forget(pid: number): void;
  /** Ends the watch: everything was stopped in order. Idempotent. */
  release(): void;
}

/** removeFolders: absolute folders that are deleted when we die (test data); none to keep everything. */
export function startWatchdog(removeFolders: readonly string[]): Watchdog {
  const child = spawn("/bin/sh", ["-c", script, "codex-watchdog", ...removeFolders], {
    detached: true,
    cwd: "/",
    env: childEnvironment(),
    stdio: ["pipe", "ignore", "ignore"],
  });
  // Without a watchdog the servers still stop in order; only a kill -9 would leave them, and the next start finds them.
  child.on("error", () => undefined);
  child.stdin.on("error", () => undefined);
  child.unref();
  // A pipe of a child is a socket, which the types do not say; left alone it would keep this process alive.
  if (child.stdin instanceof net.Socket) child.stdin.unref();
  const tell = (line: string): void => {
    if (child.stdin.writable) child.stdin.write(`${line}\n`);
  };
  return {
    watch: (pid, signal) => tell(`watch ${String(pid)} ${signal}`),
    forget: (pid) => tell(`forget ${String(pid)}`),
    release: () => {
      if (child.stdin.writable) child.stdin.end("done\n");
    },
  };
}
