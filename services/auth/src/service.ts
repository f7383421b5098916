import { connectBus, startOutboxRelay, type Bus } from "@codex/bus";
import { assertMigrated, listActs, openDb, outboxSource, watchActs, type Db } from "@codex/db";
import { createHttpApp, listen } from "@codex/http";
import { systemClock } from "@codex/kernel";
import { connectRedis, misfitTeller, type Cluster, type Redis } from "@codex/redis";
import { actWatchEvents, type RunningService, type ServiceContext } from "@codex/runtime";
import type { AuthPorts } from "./app/ports.ts";
import { failureAlarm } from "./app/failure-alarm.ts";
import { noticeHandlers, noticesDurable } from "./bus/notices.ts";
import { authRpcs } from "./bus/rpc.ts";
import type { AuthConfig } from "./config.ts";
import { BcryptPool } from "./crypto/bcrypt-pool.ts";
import { noBreachList, openBreachList, type BreachList } from "./crypto/breach-list.ts";
import { passkeyCeremonies } from "./crypto/passkeys.ts";
import { passwordHasher, pepperOf } from "./crypto/password-hasher.ts";
import { sealerOf, type Sealer } from "./crypto/sealer.ts";
import { createTokenSigner, type TokenSigner } from "./crypto/token-signer.ts";
import { totpCodes } from "./crypto/totp.ts";
import { authEvents, type AuthEvents } from "./events.ts";
import { ownSessions } from "./http/own-sessions.ts";
import { authRoutes } from "./http/routes.ts";
import { isDisposable } from "./mail/disposable.ts";
import { MailSender } from "./mail/mail-sender.ts";
import { prepareMail } from "./mail/prepare-mail.ts";
import { demoTransport, noTransport, readDemoMails, smtpTransport, type MailTransport } from "./mail/transport.ts";
import { accountActs } from "./store/account-acts.ts";
import { accountStore } from "./store/account-store.ts";
import { alarmStore } from "./store/alarm-store.ts";
import { challengeStore } from "./store/challenge-store.ts";
import { redisDeviceNames } from "./store/device-names.ts";
import { factorStore, resealTotp } from "./store/factor-store.ts";
import { memoryCounters, redisCounters, withFallback } from "./store/failure-counters.ts";
import { linkStore } from "./store/link-store.ts";
import { mailStore } from "./store/mail-store.ts";
import { authMigrations } from "./store/migrations/index.ts";
import { noticeStore } from "./store/notice-store.ts";
import { registrationStore } from "./store/registration-store.ts";
import { authSchema, type AuthTables } from "./store/schema.ts";
import { sessionStore } from "./store/session-store.ts";
import { signInThrottle } from "./store/sign-in-throttle.ts";
import { eitherWaveCounter, memoryWaveCounter, redisWaveCounter } from "./store/wave-counter.ts";
import { startSweeper } from "./store/sweep.ts";

type Context = ServiceContext<AuthConfig>;

/** Builds and starts auth; the only file that constructs. */
export async function start(context: Context): Promise<RunningService> {
  const { config, scope, logger, health, telemetry } = context;
  const db = openDb<AuthTables>({ url: config.databaseUrl, schema: authSchema, applicationName: "auth" });
  scope.defer("database", () => db.close());
  await assertMigrated(db, authSchema, authMigrations);
  health.addCheck("postgres", () => db.ping());
  const redis = openRedis(context);
  const bus = await connectBus(
    { servers: config.natsServers, name: config.common.instanceId },
    { logger, source: "auth" },
  );
  scope.defer("bus", () => bus.drain());
  health.addCheck("nats", () => bus.ping());

  const breached = await openBreached(context);
  const events = authEvents(logger, telemetry.meter);
  const sealer = buildSealer(config);
  if (config.previousDataKey) {
    const { resealed, unreadable } = await resealTotp(db, sealer);
    events.factorsResealed(resealed, unreadable);
  }
  const { ports, wakeMails } = buildPorts(context, { db, redis, bus, breached, events, sealer });
  const signer = await buildSigner(config);
  const notices = await bus.consume({
    stream: "EVENTS",
    durable: noticesDurable,
    events: noticeHandlers(noticeStore(db, systemClock, wakeMails)),
  });
  scope.defer("notices", () => notices.stop());
  const relay = await startOutboxRelay({ source: outboxSource(db), bus, logger });
  scope.defer("outbox relay", () => relay.stop());
  const watch = watchActs(db, actWatchEvents(logger, telemetry.meter));
  scope.defer("audit log", () => watch.stop());
  const sweeper = startSweeper(db, systemClock, logger);
  scope.defer("sweeper", () => sweeper.stop());
  const description = "Browser sessions and the public keys that verify them";
  const rpc = await bus.serve({ name: "auth", version: "1.0.0", description }, authRpcs(ports, signer.jwks));
  scope.defer("rpc", () => rpc.stop());
  const { app } = createHttpApp({
    service: "auth",
    routes: authRoutes(
      ports,
      signer,
      (to) => readDemoMails(db, to),
      (filter, limit) => listActs(db, filter, limit),
    ),
    sessions: ownSessions(ports, signer),
    logger,
    publicOrigin: config.publicOrigin,
    trustedProxyCount: config.trustedProxyCount,
    production: config.common.nodeEnv === "production",
  });
  const server = await listen(app, { host: config.common.httpHost, port: config.common.httpPort });
  scope.defer("http", () => server.close());
  return { httpPort: server.port, httpUrl: `http://${config.common.httpHost}:${server.port}` };
}

interface Acquired {
  readonly db: Db<AuthTables>;
  readonly redis: Redis | Cluster;
  readonly bus: Bus;
  readonly breached: BreachList;
  readonly events: AuthEvents;
  readonly sealer: Sealer;
}

function buildPorts(
  context: Context,
  { db, redis, bus, breached, events, sealer }: Acquired,
): { ports: AuthPorts; wakeMails: () => void } {
  const { config, scope } = context;
  const pool = new BcryptPool(config.hashThreads);
  scope.defer("hashing threads", () => pool.close());
  const { previousPepper } = config;
  const throttleKey = config.throttleKey.reveal();
  const counters = withFallback(redisCounters(redis, systemClock), memoryCounters(systemClock));
  const encode = bus.encode.bind(bus);
  const mails = mailStore(db, () => sender.wake());
  const ports: AuthPorts = {
    accounts: accountStore(db, encode, isDisposable),
    sessions: sessionStore(db),
    registrations: registrationStore(db, () => sender.wake()),
    links: linkStore(db),
    mails,
    devices: redisDeviceNames(redis, throttleKey),
    hasher: passwordHasher({
      pool,
      peppers: [
        pepperOf(config.pepper.reveal()),
        ...(previousPepper === undefined ? [] : [pepperOf(previousPepper.reveal())]),
      ],
      cost: config.bcryptCost,
    }),
    breached,
    throttle: signInThrottle(redis, counters, {
      keySecret: throttleKey,
      mailsPerNetworkPerHour: config.mailsPerNetworkPerHour,
    }),
    factors: factorStore(db, sealer),
    challenges: challengeStore(db),
    passkeys: passkeyCeremonies(config.publicOrigin),
    totp: totpCodes,
    acts: accountActs(db, encode),
    alarm: failureAlarm({
      counter: eitherWaveCounter(redisWaveCounter(redis, systemClock), memoryWaveCounter(systemClock)),
      alarms: alarmStore(db, () => sender.wake()),
      events,
      clock: systemClock,
      failuresMax: config.alarmFailures,
    }),
    rules: {
      registration: config.registration,
      passwordCharactersMin: config.passwordCharactersMin,
      consents: config.consents,
      demoMailbox: config.mail.kind === "mailbox",
    },
    clock: systemClock,
  };
  const sender = startMailSender(context, db, ports, mails);
  return { ports, wakeMails: () => sender.wake() };
}

async function openBreached({ config, scope }: Context): Promise<BreachList> {
  if (config.breachedPasswordsFile === undefined) return noBreachList;
  const list = await openBreachList(config.breachedPasswordsFile);
  scope.defer("breached passwords", () => list.close());
  return list;
}

function startMailSender(
  { config, scope, logger }: Context,
  db: Db<AuthTables>,
  ports: AuthPorts,
  store: ReturnType<typeof mailStore>,
): MailSender {
  const transport = transportOf(config, db);
  scope.defer("mail transport", () => transport.close());
  if (config.mail.kind === "off") logger.warn("mails go nowhere: AUTH_MAIL is off");
  const prepare = prepareMail.bind(undefined, ports, new URL(config.publicOrigin).origin);
  const sender = new MailSender({ store, transport, prepare, clock: systemClock, logger });
  sender.start();
  scope.defer("mail sender", () => sender.stop());
  return sender;
}

function transportOf({ mail }: AuthConfig, db: Db<AuthTables>): MailTransport {
  switch (mail.kind) {
    case "smtp":
      return smtpTransport(mail.url, mail.from);
    case "mailbox":
      return demoTransport(db, systemClock);
    case "off":
      return noTransport;
  }
}

function buildSealer({ dataKey, previousDataKey, nextDataKey }: AuthConfig): Sealer {
  return sealerOf({
    current: dataKey.reveal(),
    previous: previousDataKey?.reveal(),
    next: nextDataKey?.reveal(),
  });
}

function buildSigner(config: AuthConfig): Promise<TokenSigner> {
  const others = [config.previousSigningSecret, config.nextSigningSecret].flatMap((secret) => secret?.reveal() ?? []);
  return createTokenSigner([config.signingSecret.reveal(), ...others], config.publicOrigin, systemClock);
}

/** Commands fail fast and the throttle counts in memory meanwhile; signing in never waits for Redis. */
function openRedis({ config, scope, logger }: Context): Redis | Cluster {
  const redis = connectRedis(config.redis, { commandTimeout: 250 });
  const tellMisfit = misfitTeller(config.redis.mode, logger, "sign-ins are counted by each process alone");
  redis.on("error", (error: unknown) => {
    logger.debug("redis is not reachable", { error });
    tellMisfit(error);
  });
  scope.defer("redis", () => redis.disconnect());
  return redis;
}
