import { freePort } from "@codex/testkit";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { canUseDebianPackages, unpackedFromDebian } from "../../../libs/testkit/src/debian-packages.ts";
import type { BenchPlace } from "./place.ts";
import { startChild } from "./child.ts";
import { fetchedFolder, passedEnvironment } from "./config.ts";
import type { Target } from "./target.ts";

/** nginx of the PATH, else Debian's, unpacked for us alone; undefined where there is neither. */
async function findNginx(log: (line: string) => void): Promise<string | undefined> {
  const folders = [...(passedEnvironment()["PATH"] ?? "").split(path.delimiter), "/usr/sbin", "/opt/homebrew/bin"];
  const found = folders.map((folder) => path.join(folder, "nginx")).find((file) => existsSync(file));
  if (found !== undefined || !canUseDebianPackages()) return found;
  return unpackedFromDebian({ folder: fetchedFolder, name: "nginx", program: "usr/sbin/nginx" }, log);
}

/** A plain reverse proxy: kept connections to the upstream, nothing buffered, no log. The practical limit of a hop. */
function configOf(folder: string, port: number, upstreamPort: number, workers: number): string {
  return `daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
worker_processes ${String(workers)};
worker_rlimit_nofile 20000;
events { worker_connections 9000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  upstream bench { server 127.0.0.1:${String(upstreamPort)}; keepalive 512; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${String(port)} backlog=4096;
    location / {
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}

/** Undefined when this machine has no nginx and cannot get it. */
export async function startNginx(place: BenchPlace, workers: number): Promise<Target | undefined> {
  const program = await findNginx(place.log);
  if (program === undefined) return undefined;
  const folder = path.join(place.dataDir, `nginx-${String(workers)}`);
  mkdirSync(folder);
  const port = await freePort();
  const file = path.join(folder, "nginx.conf");
  writeFileSync(file, configOf(folder, port, place.upstreamPort, workers));
  const url = `http://127.0.0.1:${String(port)}`;
  const child = await startChild(
    {
      name: "nginx",
      command: program,
      args: ["-p", folder, "-c", file, "-e", path.join(folder, "error.log")],
      logFile: path.join(place.dataDir, "logs/nginx.log"),
      readyUrl: url,
    },
    place.watchdog,
  );
  return {
    name: "nginx",
    urls: [url],
    pids: () => [child.pid, ...childrenOf(child.pid)],
    keys: ["sk-bench-0123456789abcdef"],
    headers: [],
    stop: () => child.stop(),
  };
}

/** The workers; the master does nothing. */
function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8")
    .split(" ")
    .filter((part) => part !== "")
    .map(Number);
}
