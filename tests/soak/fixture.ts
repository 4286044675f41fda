// What the soak runs on: a server, a proxy, a client, two recorders and the log of outcomes.
import {
  type Command,
  Redis,
  type Reply,
  type SendOptions,
  WebhookRecorder,
} from "../../mod.ts";
import type { FaultProxy } from "../support/fault_proxy.ts";
import type { Random } from "../support/random.ts";
import type { RedisServer } from "../support/redis_server.ts";
import type { Outcome, OutcomeLog } from "./outcome_log.ts";

/** The most connections that the client may hold. */
export const MAX_CONNECTIONS = 10;
const MOST_PATIENCE_MS = 400;
/** For machines with other work. */
const SLACK_MS = 3000;

/** Everything that load and faults may touch. */
export class SoakFixture {
  readonly redis: Redis;
  readonly recorders: readonly WebhookRecorder[];
  /** Makes the members of the recorders. */
  nextMember: () => string = () => crypto.randomUUID();

  constructor(
    readonly random: Random,
    readonly log: OutcomeLog,
    readonly server: RedisServer,
    readonly proxy: FaultProxy,
  ) {
    const redis = this.redis = new Redis(proxy.url, {
      maxConnections: MAX_CONNECTIONS,
      connectTimeoutMs: 1000,
      replyTimeoutMs: 1000,
      checkoutTimeoutMs: 2000,
      validateAfterIdleMs: 500,
      maxAgeMs: 20_000,
      postMortem: true,
      onClose: ({ how }) => {
        if (how !== "requested") log.deaths++;
      },
    });
    const newMember = () => this.nextMember();
    this.recorders = [
      new WebhookRecorder(redis, { newMember }),
      new WebhookRecorder(redis, { newMember, retentionSeconds: 86_400 }),
    ];
  }

  /** A text that repeats `tag`: mostly a short one, at times one of up to 200 KB. */
  text(tag: string): string {
    const { random } = this;
    const most = random.oneIn(12) ? 200_000 : random.oneIn(4) ? 9000 : 100;
    return `${tag} `.repeat(1 + random.below(most / tag.length));
  }

  /** Makes a call, which its caller aborts at times. */
  call<T>(
    what: string,
    run: (patience: { signal?: AbortSignal }) => Promise<T>,
  ): Promise<Outcome<T>> {
    const { random, log } = this;
    if (!random.oneIn(10)) return log.call(what, () => run({}));
    const ms = random.below(MOST_PATIENCE_MS);
    const signal = AbortSignal.timeout(ms);
    return log.call(what, () => run({ signal }), ms + SLACK_MS);
  }

  /** Sends a command. */
  send(command: Command, options?: SendOptions): Promise<Outcome<Reply>> {
    return this.call(
      command[0],
      (patience) => this.redis.send(command, { ...options, ...patience }),
    );
  }
}
