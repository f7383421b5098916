import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import path from "node:path";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/**
 * A file system in memory below `/simulated/`, in the place of node's synchronous calls; other paths go to the real one. It
 * forgets what was not synced when the power goes, and refuses writes when it is told to be full.
 */

interface File {
  bytes: Buffer;
  length: number;
  /** What is on the disk for sure. */
  synced: number;
  mtimeMs: number;
}

interface Open {
  readonly file: File;
  readonly path: string;
}

const root = "/simulated/";
const firstDescriptor = 1_000_000;
const syncMsMax = 8;

export class MemoryFiles {
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly files = new Map<string, File>();
  private readonly descriptors = new Map<number, Open>();
  private readonly fullFolders = new Set<string>();
  private nextDescriptor = firstDescriptor;

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.random = random;
  }

  /** The process of the folder dies: its lock with it. With the power, also what was not synced, wholly or in part. */
  crash(folder: string, powerCut: boolean): void {
    this.files.delete(`${folder}/lock`);
    if (!powerCut) return;
    for (const [name, file] of this.files) {
      if (name.startsWith(`${folder}/`)) file.length = this.random.int(file.synced, file.length);
    }
  }

  wipe(folder: string): void {
    for (const name of [...this.files.keys()]) if (name.startsWith(`${folder}/`)) this.files.delete(name);
  }

  setFull(folder: string, full: boolean): void {
    if (full) this.fullFolders.add(folder);
    else this.fullFolders.delete(folder);
  }

  list(folder: string): string[] {
    return [...this.files.keys()].filter((name) => name.startsWith(`${folder}/`)).map((name) => path.basename(name));
  }

  /** From now on `/simulated/` is this one; the answer ends that. */
  install(): () => void {
    current = this.calls();
    return () => {
      current = undefined;
    };
  }

  private calls() {
    return {
      openSync: (name: string, flags: string) => this.open(name, flags),
      writeSync: (descriptor: number, data: Buffer | string, offset = 0, length?: number) =>
        this.write(descriptor, Buffer.from(data).subarray(offset, length === undefined ? undefined : offset + length)),
      ftruncateSync: (descriptor: number, length: number) => this.truncate(descriptor, length),
      closeSync: (descriptor: number) => void this.descriptors.delete(descriptor),
      fsyncSync: (descriptor: number) => this.sync(descriptor),
      fdatasync: (descriptor: number, done: (error: Error | null) => void) => {
        const open = this.descriptors.get(descriptor);
        const length = open?.file.length ?? 0;
        this.time.after(this.random.int(0, syncMsMax), () => {
          if (open) open.file.synced = Math.max(open.file.synced, Math.min(length, open.file.length));
          done(null);
        });
      },
      unlinkSync: (name: string) => {
        if (!this.files.delete(name)) throw failure("ENOENT");
      },
      renameSync: (from: string, to: string) => {
        this.files.set(to, this.find(from));
        this.files.delete(from);
      },
      mkdirSync: () => undefined,
      existsSync: (name: string) => this.files.has(name),
      readdirSync: (name: string) => this.list(name),
      readFileSync: (name: string, encoding?: BufferEncoding) => {
        const file = this.find(name);
        const content = Buffer.from(file.bytes.subarray(0, Math.min(file.length, file.bytes.length)));
        return encoding === undefined ? content : content.toString(encoding);
      },
      statSync: (name: string) => {
        const { length, mtimeMs } = this.find(name);
        return { size: length, mtimeMs };
      },
    };
  }

  private find(name: string): File {
    const file = this.files.get(name);
    if (!file) throw failure("ENOENT");
    return file;
  }

  private open(name: string, flags: string): number {
    if (flags !== "r") {
      if (flags.includes("x") && this.files.has(name)) throw failure("EEXIST");
      if (this.isFull(name)) throw failure("ENOSPC");
      if (flags.startsWith("w") || !this.files.has(name)) {
        this.files.set(name, { bytes: Buffer.alloc(1_024), length: 0, synced: 0, mtimeMs: this.time.nowMs });
      }
    }
    const descriptor = (this.nextDescriptor += 1);
    const file = this.files.get(name) ?? { bytes: Buffer.alloc(0), length: 0, synced: 0, mtimeMs: 0 };
    this.descriptors.set(descriptor, { file, path: name });
    return descriptor;
  }

  private write(descriptor: number, data: Buffer): number {
    const open = this.descriptors.get(descriptor);
    if (!open) throw failure("EBADF");
    if (this.isFull(open.path)) throw failure("ENOSPC");
    const { file } = open;
    if (path.basename(open.path) === "reserve") {
      // Nobody reads what only keeps a place.
      file.length += data.length;
      return data.length;
    }
    if (file.length + data.length > file.bytes.length) {
      const larger = Buffer.alloc(Math.max(file.bytes.length * 2, file.length + data.length));
      file.bytes.copy(larger, 0, 0, file.length);
      file.bytes = larger;
    }
    data.copy(file.bytes, file.length);
    file.length += data.length;
    file.mtimeMs = this.time.nowMs;
    return data.length;
  }

  private truncate(descriptor: number, length: number): void {
    const open = this.descriptors.get(descriptor);
    if (!open) throw failure("EBADF");
    open.file.length = Math.min(open.file.length, length);
    open.file.synced = Math.min(open.file.synced, open.file.length);
  }

  private sync(descriptor: number): void {
    const open = this.descriptors.get(descriptor);
    if (open) open.file.synced = open.file.length;
  }

  /** The space that the spool keeps in reserve is free again once it is given up; nobody but the spool gets it here. */
  private isFull(name: string): boolean {
    const folder = path.dirname(name);
    const base = path.basename(name);
    if (!this.fullFolders.has(folder) || base === "lock") return false;
    return base === "reserve" || this.files.has(`${folder}/reserve`);
  }
}

type Call = (...args: never[]) => unknown;

let current: Readonly<Record<string, unknown>> | undefined;

/**
 * Done once, when this file is loaded, and for good: the product keeps some of these functions in constants of its own, so it must
 * be loaded after this file and finds them in their place.
 */
function interpose(): void {
  const target = fs as unknown as Record<string, Call | undefined>;
  for (const name of interposed) {
    const original = target[name];
    target[name] = (...args: never[]) => {
      const own = current !== undefined && isOurs(args[0]) ? (current[name] as Call | undefined) : original;
      return own?.apply(fs, args);
    };
  }
  syncBuiltinESMExports();
}

const interposed = [
  "openSync",
  "writeSync",
  "ftruncateSync",
  "closeSync",
  "fsyncSync",
  "fdatasync",
  "unlinkSync",
  "renameSync",
  "mkdirSync",
  "existsSync",
  "readdirSync",
  "readFileSync",
  "statSync",
];
interpose();

function isOurs(target: unknown): boolean {
  if (typeof target === "number") return target > firstDescriptor;
  return typeof target === "string" && target.startsWith(root);
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
