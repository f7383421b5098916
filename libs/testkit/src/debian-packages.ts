import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { installEnvironment } from "./config.ts";
import { runProgram } from "./run-program.ts";

/**
 * Debian and Ubuntu with root only. The server packages start a system service on the default port when they are
 * installed, which we must never do. So nats-server is only unpacked, and for Redis the tools package is installed: its
 * redis-check-rdb is the same program as redis-server, which looks at the name under which it was started.
 */

const stepTimeoutMs = 180_000;
const apt = ["-o", "DPkg::Lock::Timeout=60", "-o", "APT::Sandbox::User=root", "-q"];

export function canUseDebianPackages(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
}

/** Path of a nats-server unpacked below the folder, fetched once. Throws with what apt said. */
export function natsFromDebian(folder: string, log: (line: string) => void): Promise<string> {
  return unpackedFromDebian({ folder, name: "nats-server", program: "usr/sbin/nats-server" }, log);
}

/** Path of a program of a package that is only unpacked below `folder`, fetched once. Throws with what apt said. */
export async function unpackedFromDebian(
  wanted: { readonly folder: string; readonly name: string; readonly program: string },
  log: (line: string) => void,
): Promise<string> {
  const { folder, name } = wanted;
  const target = path.join(folder, name);
  const program = path.join(target, wanted.program);
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(path.join(folder, "fetch-"));
  try {
    log(`${name} is not installed: getting it from the Debian package (unpacked here, no system service)`);
    await aptGet(["download", name], work);
    const [file] = globSync(`${name}_*.deb`, { cwd: work });
    if (file === undefined) throw new Error(`apt-get download ${name} left no package file`);
    const unpacked = await runProgram("dpkg", ["-x", path.join(work, file), path.join(work, "root")], {
      timeoutMs: stepTimeoutMs,
    });
    if (!unpacked.ok) throw new Error(`dpkg could not unpack ${file}: ${unpacked.output}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(path.join(work, "root"), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  if (!existsSync(program)) throw new Error(`the package ${name} holds no ${program}`);
  return program;
}

/** Installs redis-tools and returns the path of its redis-check-rdb. Throws with what apt said. */
export async function redisFromDebian(log: (line: string) => void): Promise<string> {
  log("redis-server is not installed: installing the Debian package redis-tools (no system service)");
  await aptGet(["install", "-y", "--no-remove", "--no-install-recommends", "redis-tools"], "/");
  const listed = await runProgram("dpkg", ["-L", "redis-tools"], { timeoutMs: 10_000 });
  const program = listed.output.split("\n").find((line) => line.endsWith("/bin/redis-check-rdb"));
  if (program === undefined) throw new Error("the package redis-tools holds no redis-check-rdb");
  return program;
}

/** Tries with the package lists as they are; a fresh image has none, so on failure they are fetched and it tries again. */
async function aptGet(args: readonly string[], cwd: string): Promise<void> {
  const options = { timeoutMs: stepTimeoutMs, cwd, env: installEnvironment() };
  const first = await runProgram("apt-get", [...apt, ...args], options);
  if (first.ok) return;
  const update = await runProgram("apt-get", [...apt, "update"], options);
  const second = await runProgram("apt-get", [...apt, ...args], options);
  if (second.ok) return;
  const said = update.ok ? second.output : `${update.output}\n${second.output}`;
  throw new Error(`apt-get ${args.join(" ")} failed:\n${said.split("\n").slice(-6).join("\n")}`);
}
