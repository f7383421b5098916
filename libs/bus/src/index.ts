export { connectBus, type Bus, type BusDeps } from "./bus.ts";
export {
  startCommandRelay,
  type CommandRelay,
  type CommandRelayOptions,
  type CommandSource,
  type Verdict,
} from "./command-relay.ts";
export type { BusConfig, BusStatus } from "./connection.ts";
export {
  eventHandler,
  type ConsumeOptions,
  type ConsumerStats,
  type EventHandler,
  type EventMeta,
} from "./consumer.ts";
export { deadLetterHeaders, type DeadLetterReason } from "./dead-letters.ts";
export { decodeEvent, type DecodedEvent, type EncodedEvent, type EventMessage, type Parsed } from "./envelope.ts";
export { isUnserved, PermanentFailure } from "./errors.ts";
export type { KvChange, KvEntry, KvWatchOptions, TypedKv } from "./kv.ts";
export type { BusLogFields, BusLogger } from "./logger.ts";
export { startOutboxRelay, type OutboxRelay, type OutboxRelayOptions, type OutboxSource } from "./outbox-relay.ts";
export { busPermissions, renderBusUsers, type BusNeeds, type BusPermissions, type BusUser } from "./permissions.ts";
export type { OutgoingMessage, PublishReceipt } from "./publisher.ts";
export type { ReadMark } from "./read-marks.ts";
export type { ReadMessage, ReadStreamOptions, StreamState } from "./reader.ts";
export type { CallOptions } from "./rpc-client.ts";
export { rpcHandler, type RpcCall, type RpcHandler, type ServiceDescription } from "./rpc-server.ts";
export type { SignalListener } from "./signals.ts";
export type { StreamEnds } from "./stream-ends.ts";
export { TopologyDrift, type Drift } from "./topology.ts";
