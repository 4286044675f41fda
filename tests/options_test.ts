// That each option may be given as undefined, as it comes of an environment, and has its default then.

import "./support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  type BackoffOptions,
  Blacklist,
  type BlacklistOptions,
  type BlockOptions,
  ExponentialBackoff,
  type KeyScanOptions,
  type RecorderOptions,
  Redis,
  type RedisOptions,
  Retry,
  type RetryOptions,
  type RunOptions,
  scan,
  type SendOptions,
  WebhookRecorder,
} from "../mod.ts";
import {
  type SubscribeOptions,
  Subscriber,
  type SubscriberOptions,
} from "../pubsub/mod.ts";
import { FileOutbox } from "../recorder/stores/file/file_outbox.ts";
import { startRedis } from "./support/redis_server.ts";

/** Options, of which those that have a default are all there and all `undefined`. */
type Unset<Options> = {
  [
    Name in keyof Options as undefined extends Options[Name] ? Name : never
  ]-?: undefined;
};

const ENDPOINT = {
  username: undefined,
  password: undefined,
  credentials: undefined,
  database: undefined,
  clientName: undefined,
  tls: undefined,
  cluster: undefined,
  sentinel: undefined,
};
const CONNECTION = {
  connectTimeoutMs: undefined,
  replyTimeoutMs: undefined,
  limits: undefined,
  dial: undefined,
  onClose: undefined,
  postMortem: undefined,
  onVerdict: undefined,
};
const REDIS: Unset<RedisOptions> = {
  ...ENDPOINT,
  ...CONNECTION,
  maxConnections: undefined,
  checkoutTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  maxAgeMs: undefined,
  validateAfterIdleMs: undefined,
  maxWaiting: undefined,
  retry: undefined,
  onRetry: undefined,
};
const SEND: Unset<SendOptions> = {
  signal: undefined,
  deadlineMs: undefined,
  binary: undefined,
  replay: undefined,
  resolveFate: undefined,
  retry: undefined,
  onReplay: undefined,
};
const SCAN: Unset<KeyScanOptions> = {
  match: undefined,
  count: undefined,
  type: undefined,
  signal: undefined,
  binary: undefined,
  retry: undefined,
};
const QUEUE = {
  maxQueued: undefined,
  maxQueuedBytes: undefined,
  whenFull: undefined,
};
const SUBSCRIBER: Unset<SubscriberOptions> = {
  ...ENDPOINT,
  ...CONNECTION,
  ...QUEUE,
  pingIntervalMs: undefined,
  backoff: undefined,
  onError: undefined,
};
const SUBSCRIBE: Unset<SubscribeOptions> = {
  ...QUEUE,
  binary: undefined,
  signal: undefined,
  deadlineMs: undefined,
  onMessage: undefined,
  onGap: undefined,
  onAway: undefined,
  onEnd: undefined,
};
const RECORDER: Unset<RecorderOptions> = {
  keyOf: undefined,
  now: undefined,
  newMember: undefined,
  outboxCapacity: undefined,
  outbox: undefined,
  whenStoreFails: undefined,
  retentionSeconds: undefined,
  windowSeconds: undefined,
  repeatAfterFailoverMs: undefined,
  deadlineMs: undefined,
  onError: undefined,
  onOutboxError: undefined,
};
const BLACKLIST: Unset<BlacklistOptions> = {
  whenAway: undefined,
  isKnownForMs: undefined,
  prefix: undefined,
};
const BLOCK: Unset<BlockOptions> = { seconds: undefined, reason: undefined };
const BACKOFF: Unset<BackoffOptions> = {
  baseMs: undefined,
  capMs: undefined,
  jitter: undefined,
  random: undefined,
};
const RETRY: Unset<RetryOptions> = {
  backoff: undefined,
  retries: undefined,
  isRetriable: undefined,
  deadlineMs: undefined,
  sleep: undefined,
};
const RUN: Unset<RunOptions> = {
  signal: undefined,
  isRetriable: undefined,
  onRetry: undefined,
};

Deno.test("An option that is undefined has its default", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, REDIS);
  assertEquals(await redis.send(["SET", "key", "value"], SEND), "OK");
  assertEquals(await Array.fromAsync(scan(redis, SCAN)), ["key"]);
  assertEquals(redis.stats().maxConnections, 10);

  const dir = await Deno.makeTempDir();
  await using outbox = await FileOutbox.open(`${dir}/queued`, {
    maxBytes: undefined,
    onProblem: undefined,
  });
  {
    await using recorder = new WebhookRecorder(redis, { ...RECORDER, outbox });
    const shop = { mallId: "mall", shopNo: 1 };
    const blacklist = new Blacklist(recorder, {
      limit: 1,
      windowSeconds: 60,
      blockSeconds: 60,
      ...BLACKLIST,
    });
    const event = { ...shop, eventType: "orders" };
    const given = { deliveryId: undefined, receivedAt: undefined };
    assertEquals(
      (await recorder.record({ ...event, ...given })).status,
      "recorded",
    );
    assertEquals((await blacklist.record(event)).isBlocked, true);
    await blacklist.unblock(shop);
    await blacklist.block(shop, BLOCK);
    assertEquals((await blacklist.record(event)).isBlocked, true);
    assertEquals(recorder.stats().capacity, 10_000);
  }
  await Deno.remove(dir, { recursive: true });

  const backoff = new ExponentialBackoff(BACKOFF);
  assertEquals([0, 1, 9].map((n) => backoff.delayMs(n)), [100, 200, 1000]);
  assertEquals(await new Retry(RETRY).run(() => Promise.resolve(1), RUN), 1);

  await using subscriber = new Subscriber(server.url, SUBSCRIBER);
  using subscription = await subscriber.subscribe("a", SUBSCRIBE);
  await redis.send(["PUBLISH", "a", "x"]);
  const { value } = await subscription.next();
  assertEquals(value?.type === "message" && value.payload, "x");
});
