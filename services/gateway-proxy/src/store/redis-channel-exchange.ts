import { channelReport, type ChannelReport } from "@codex/contracts";
import type { ChannelId } from "@codex/kernel";
import type { ChannelExchange } from "../app/ports.ts";
import type { RedisTurns } from "./redis-turns.ts";

/**
 * What workers tell each other of channels, in Redis: `gw:chn:{<id>}:<day>` holds what was charged and asked on a UTC day,
 * `gw:chn:{<id>}:workers` the last report of each worker; the id is the hash tag, so that one script may touch both on Redis Cluster.
 * Rejects when Redis does not answer in time.
 */

const daySeconds = 172_800;
const reportSeconds = 60;
/** A report that is older is of a worker that stopped. */
export const reportAgeMaxMs = 10_000;

const dayKey = (channelId: ChannelId, day: number): string => `gw:chn:{${channelId}}:${String(day)}`;
const workersKey = (channelId: ChannelId): string => `gw:chn:{${channelId}}:workers`;

/** One round trip a channel: adds, tells, and reads the sums and the others. */
const tellScript = `
redis.call('HINCRBY', KEYS[1], 'spent', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'requests', ARGV[2])
redis.call('EXPIRE', KEYS[1], ${String(daySeconds)})
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[2], ${String(reportSeconds)})
return {redis.call('HGET', KEYS[1], 'spent'), redis.call('HGET', KEYS[1], 'requests'), redis.call('HGETALL', KEYS[2])}`;

export function redisChannelExchange(turns: RedisTurns, workerId: string, nowMs: () => number): ChannelExchange {
  return {
    async tell(told) {
      // One by one and together: a pipeline goes to one node, and each channel may be on another.
      const answers = await Promise.all(
        told.map(({ channelId, day, counts, report }) =>
          turns.send("eval", [
            tellScript,
            2,
            dayKey(channelId, day),
            workersKey(channelId),
            counts.spent.toString(),
            counts.requests,
            workerId,
            JSON.stringify(report),
          ]),
        ),
      );
      return answers.map((answer) => {
        const [spent, requests, workers] = answer as [unknown, unknown, unknown];
        const others = readReports(pairs(workers), nowMs()).filter((worker) => worker.workerId !== workerId);
        return {
          total: { spent: BigInt(String(spent)), requests: Number(requests) },
          runningElsewhere: others.reduce((sum, { report }) => sum + report.running, 0),
        };
      });
    },
    async read(channelId, day) {
      const hash = async (key: string) => (await turns.send("hgetall", [key])) as Readonly<Record<string, string>>;
      const [counts, workers] = await Promise.all([hash(dayKey(channelId, day)), hash(workersKey(channelId))]);
      return {
        total: { spent: BigInt(counts["spent"] ?? "0"), requests: Number(counts["requests"] ?? "0") },
        workers: readReports(workers, nowMs()),
      };
    },
  };
}

/** Redis's flat list of names and values, as scripts answer a hash. */
function pairs(list: unknown): Readonly<Record<string, string>> {
  if (!Array.isArray(list)) throw new Error("unexpected answer of the channel script");
  const texts = list.map(String);
  return Object.fromEntries(texts.flatMap((text, index) => (index % 2 === 0 ? [[text, texts[index + 1] ?? ""]] : [])));
}

/** Reports that are fresh and parse; a worker of another version may write what this one does not know. */
function readReports(
  workers: Readonly<Record<string, string>>,
  nowMs: number,
): { readonly workerId: string; readonly report: ChannelReport }[] {
  return Object.entries(workers).flatMap(([workerId, text]) => {
    const parsed = channelReport.safeParse(parseJson(text));
    if (!parsed.success || nowMs - Date.parse(parsed.data.at) > reportAgeMaxMs) return [];
    return [{ workerId, report: parsed.data }];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
