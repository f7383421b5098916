import type { Bus } from "@codex/bus";
import {
  epochOpen,
  leaseGrant,
  leaseRecall,
  leaseRecover,
  leaseReturn,
  watermarkGet,
  type usageEnvelope,
} from "@codex/contracts";
import { AppError, ok, refuse, type Result } from "@codex/kernel";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { SimulatedProcess, VirtualTime } from "./virtual-time.ts";
import { ttlMs } from "./billing-model.ts";
import type { World } from "./world.ts";

/** One gateway's connection: the part of {@link Bus} that metering uses, with everything a network can do to it. */
export interface Network {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly faults: Faults;
  readonly world: World;
}

const publishTimeoutMs = 2_000;
const recallWaitMs = 150;

type Asked<Rpc extends { readonly req: { readonly _output: unknown } }> = Rpc["req"]["_output"];
type Answer = Result<unknown>;

export function simulatedBus(network: Network, owner: SimulatedProcess): Bus {
  const { world } = network;
  const bus = {
    call: (rpc: { readonly subject: string; readonly timeoutMs: number }, req: unknown) =>
      send(
        network,
        owner,
        () => network.faults.billingDown,
        rpc.timeoutMs,
        () => answer(network, rpc.subject, req),
      ),
    publishJson: (event: typeof usageEnvelope, message: { readonly id: string; readonly json: string }) =>
      send(
        network,
        owner,
        () => false,
        publishTimeoutMs,
        async () => {
          const { epoch, records } = event.data.parse(JSON.parse(message.json));
          return { seq: world.store(message.id, epoch, records) };
        },
      ),
    streamState: () =>
      send(
        network,
        owner,
        () => false,
        publishTimeoutMs,
        async () => world.stream,
      ),
    // The model's billing waits the same for everybody, so an answered recall tells it nothing.
    signal: () => undefined,
    onSignal: async (signal: unknown, listener: (data: { readonly accountId: string }) => void) => {
      if (signal !== leaseRecall) throw new Error("a signal that the model does not know");
      const hear = (accountId: string): void => {
        if (network.random.chance(network.faults.lost)) return;
        network.time.after(latency(network), () => listener({ accountId }), undefined, owner);
      };
      world.recallListeners.add(hear);
      return { stop: () => world.recallListeners.delete(hear) };
    },
  };
  return bus as unknown as Bus;
}

function latency({ random, faults }: Network): number {
  return random.int(0, faults.latencyMaxMs);
}

/** There, the work, and back; each way may fail, and the asker cannot tell which did. */
function send<T>(
  network: Network,
  owner: SimulatedProcess,
  down: () => boolean,
  timeoutMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const { time, random, faults } = network;
  return new Promise((resolve, reject) => {
    const timeout = time.after(timeoutMs, () => reject(unavailable()), undefined, owner);
    if (random.chance(faults.lost)) return;
    time.after(
      latency(network),
      () => {
        if (faults.busDown || down()) return;
        work().then(
          (value) => {
            if (random.chance(faults.answerLost)) return;
            time.after(
              latency(network),
              () => {
                timeout.cancelled = true;
                resolve(value);
              },
              undefined,
              owner,
            );
          },
          (error: unknown) => time.fail(error),
        );
      },
      undefined,
      null,
    );
  });
}

function unavailable(): AppError {
  return new AppError({ kind: "unavailable", code: "service_unavailable", publicMessage: "no answer" });
}

async function answer(network: Network, subject: string, req: unknown): Promise<Answer> {
  const { billing } = network.world;
  switch (subject) {
    case epochOpen.subject:
      return ok({ epoch: billing.openEpoch() });
    case leaseGrant.subject:
      return grant(network, req as Asked<typeof leaseGrant>);
    case leaseReturn.subject: {
      const { epoch, accountId, leases } = req as Asked<typeof leaseReturn>;
      const ceilings = leases.map(({ leaseId, ceilingMicroTokens }) => ({ leaseId, ceiling: ceilingMicroTokens }));
      return ok({ freedMicroTokens: billing.lower(epoch, accountId, ceilings) });
    }
    case leaseRecover.subject: {
      const { epoch, requestNo, accountId } = req as Asked<typeof leaseRecover>;
      return ok({ leaseId: billing.recover(epoch, requestNo, accountId) ?? null });
    }
    case watermarkGet.subject: {
      const { epoch } = req as Asked<typeof watermarkGet>;
      return ok({ watermarks: billing.marks(epoch), positions: network.world.positions() });
    }
    default:
      throw new Error(`a call that the model does not know: ${subject}`);
  }
}

/** A refusal while money is reserved recalls it first, and waits a moment. */
async function grant(network: Network, req: Asked<typeof leaseGrant>): Promise<Answer> {
  const {
    world: { billing, recallListeners },
    time,
  } = network;
  const ask = {
    epoch: req.epoch,
    requestNo: req.requestNo,
    accountId: req.accountId,
    minimum: req.minimumMicroTokens,
    want: req.wantMicroTokens,
  };
  let outcome = billing.grant({ ...ask, nowMs: time.nowMs });
  if (!outcome.granted && outcome.held > 0n) {
    for (const recall of recallListeners) recall(req.accountId);
    await time.sleep(recallWaitMs);
    outcome = billing.grant({ ...ask, nowMs: time.nowMs });
  }
  if (outcome.granted) {
    const { id, granted } = outcome.lease;
    return ok({ leaseId: id, grantedMicroTokens: granted, ttlMs, priceGroup: "default" });
  }
  const metadata = { availableMicroTokens: String(outcome.available), heldMicroTokens: String(outcome.held) };
  return refuse("insufficient_balance", "not enough", metadata);
}
