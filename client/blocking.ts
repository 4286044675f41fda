// A blocking command: alone on a connection, which an abort closes.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { ConnectionClosedError, type PushRight } from "../pool/mod.ts";
import { mayPass } from "../pool/checkout_error.ts";
import { isPassing } from "../pool/refusal.ts";
import { type Retry, type RetryAttempt, RetryError } from "../retry/mod.ts";
import { isAnswer } from "./command_error.ts";
import { failureOf, type SendOptions } from "./call.ts";
import { Lease } from "./lease.ts";

/** What the client does for a blocking command. */
export interface BlockingHost {
  /** When to try again; `false`: never. */
  readonly policy: Retry | false;
  /** Takes a connection out of the pool, for a further attempt. */
  checkout(): Promise<PushRight>;
  /** Gives it back. */
  release(right: PushRight, clean: boolean): void;
  /** The server says that it is a replica. */
  isReplica(right: PushRight): void;
  /** Runs attempts with a signal that ends with the caller's and with the client. */
  whileOpen<T>(fn: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** What to do before another attempt, which is a replay or not. */
  onRetry(isReplay: () => boolean): (attempt: RetryAttempt) => void;
}

/**
 * Sends a command that may wait for long, on a connection of its own.
 *
 * @returns The reply.
 * @throws What `Redis.send` throws.
 */
export async function sendBlocking(
  command: Command,
  { signal, binary, replay }: SendOptions,
  host: BlockingHost,
): Promise<Reply> {
  signal?.throwIfAborted();
  let mayRunAgain = true;
  let isReplay = false;
  const failures: unknown[] = [];
  const once = async () => {
    mayRunAgain = true;
    isReplay = false;
    const right = await host.checkout().catch((error) => {
      mayRunAgain = mayPass(error);
      throw error;
    });
    const lease = new Lease(right, undefined, {
      release: (clean) => host.release(right, clean),
      isReplica: () => host.isReplica(right),
    });
    try {
      return await lease.send(command, { signal, binary });
    } catch (error) {
      if (error instanceof ReplyError) {
        mayRunAgain = isPassing(error);
      } else if (error instanceof ConnectionClosedError) {
        const { report, fate } = error;
        const loss = { report, fate, untouched: true, openedAt: 0 };
        const failure = failureOf([{ loss, command }], replay);
        ({ mayRunAgain, isReplay } = failure);
        throw failure.error;
      } else mayRunAgain = mayPass(error);
      throw error;
    } finally {
      lease.release();
    }
  };
  const { policy } = host;
  try {
    if (policy === false) return await once();
    return await host.whileOpen((signal) =>
      policy.run(once, {
        signal,
        isRetriable: (error) => {
          failures.push(error);
          return mayRunAgain && !(error instanceof TypeError);
        },
        onRetry: host.onRetry(() => isReplay),
      })
    );
  } catch (error) {
    if (isAnswer(error) || error instanceof RetryError || signal?.aborted) {
      throw error;
    }
    const all = failures.includes(error) ? failures : [...failures, error];
    throw all.length > 1
      ? new RetryError(all, { attempts: failures.length })
      : error;
  }
}
