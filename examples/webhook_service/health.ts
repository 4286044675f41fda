// Whether events can be recorded, as the log and the health page say it.
import {
  DialError,
  type RecordErrorInfo,
  type RecorderStats,
  type Redis,
  ReplyError,
  type WebhookRecorder,
} from "@unzombie/redis";
import { SocketError } from "@unzombie/redis/pool";
import { log, textOf } from "./log.ts";

/** How long an answer about the health of Redis is used, in milliseconds. */
const HEALTH_MS = 1000;
/** Lines of one kind are at least this far apart, in milliseconds. */
const QUIET_MS = 60_000;

/** Whether events can be recorded, and what the log says of it. */
export class Watch {
  readonly #redis: Redis;
  readonly #recorder: WebhookRecorder;
  readonly #quietUntil = new Map<string, number>();
  #health: { isGood: Promise<boolean>; askedAt: number } | undefined;
  #outage: { since: number; before: RecorderStats } | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(redis: Redis, recorder: WebhookRecorder) {
    this.#redis = redis;
    this.#recorder = recorder;
  }

  /** Reports an event that is not recorded at once, or a set that cannot be trimmed. */
  report(error: unknown, { status, context }: RecordErrorInfo): void {
    const stats = this.#recorder.stats();
    if (status === "recorded") {
      return this.seldom("Cannot trim a set", error);
    }
    if (error instanceof Error && error.name === "OutboxError") {
      return this.seldom("An event is not queued", error);
    }
    if (stats.reason === undefined && this.#outage === undefined) {
      return this.seldom("An event is lost", error); // this one alone
    }
    stats[status] -= context.count; // as it was before
    this.#begin(stats.reason ?? textOf(error), stats);
  }

  /** Logs what may happen many times: once a minute for each kind. */
  seldom(what: string, error: unknown): void {
    const now = performance.now();
    if (now < (this.#quietUntil.get(what) ?? 0)) return;
    this.#quietUntil.set(what, now + QUIET_MS);
    log("error", `${what}: ${textOf(error)}`);
  }

  /** Whether an event could be recorded now. */
  canRecord(): Promise<boolean> {
    const now = performance.now();
    if (this.#health === undefined || now - this.#health.askedAt > HEALTH_MS) {
      this.#health = { isGood: this.#ask(), askedAt: now };
    }
    return this.#health.isGood;
  }

  /** Logs nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Writes as an event would be written, but with XX, which adds no member. */
  async #ask(): Promise<boolean> {
    const key = "webhook_frequency_healthz_0_none";
    try {
      await this.#redis.send(["ZADD", key, "XX", 0, "none"], {
        retry: false,
        deadlineMs: 1000,
      });
      return true;
    } catch (error) {
      const stats = this.#recorder.stats();
      this.#begin(
        stats.reason ?? `Redis cannot be used: ${textOf(error)}`,
        stats,
      );
      return false;
    }
  }

  #begin(reason: string, before: RecorderStats): void {
    if (this.#outage !== undefined) return;
    this.#outage = { since: before.awaySince ?? Date.now(), before };
    log("error", reason);
    this.#timer = setInterval(() => this.#checkForEnd(), HEALTH_MS / 2);
  }

  async #checkForEnd(): Promise<void> {
    if (this.#recorder.pending > 0 || !await this.canRecord()) return;
    if (this.#outage === undefined) return; // by an earlier check
    const { since, before } = this.#outage;
    const { queued, sent, dropped } = this.#recorder.stats();
    this.#outage = undefined;
    clearInterval(this.#timer);
    const seconds = ((Date.now() - since) / 1000).toFixed(1);
    log("info", `Redis is back after ${seconds} s`, {
      queued: queued - before.queued,
      sent: sent - before.sent,
      lost: dropped - before.dropped,
    });
  }
}

/** What is public of the state: numbers and kinds of errors, no addresses. */
export function healthOf(
  redis: Redis,
  recorder: WebhookRecorder,
  isGood: boolean,
) {
  const { lastDialError, awaySince, ...stats } = redis.stats();
  const {
    pending,
    stored,
    capacity,
    recorded,
    queued,
    restored,
    sent,
    dropped,
    ...state
  } = recorder.stats();
  const since = state.awaySince ?? awaySince;
  return {
    status: isGood ? "ok" : "unavailable",
    awaySince: since === undefined ? null : new Date(since).toISOString(),
    lastDialError: kindOf(lastDialError) ?? null,
    pending,
    stored,
    capacity,
    recorded,
    queued,
    restored,
    sent,
    lost: dropped,
    redis: Object.fromEntries(
      Object.entries(stats).filter(([, value]) => typeof value === "number"),
    ),
  };
}

/** The kind of an error. Its text is left out: it holds the address of Redis. */
function kindOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { cause } = error;
  const kind = cause instanceof ReplyError
    ? cause.code
    : cause instanceof SocketError
    ? cause.how
    : cause instanceof Error
    ? cause.name
    : error.name;
  return error instanceof DialError ? `${error.phase}: ${kind}` : kind;
}
