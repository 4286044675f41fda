// A blocking command: alone on a connection, which an abort closes.
import { type Command, type Reply, ReplyError } from "../resp/mod.ts";
import { ConnectionClosedError } from "../pool/connection/close_report.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { mayPass } from "../pool/errors.ts";
import { isPassing } from "../pool/connection/refusal.ts";
import { type Retry, type RetryAttempt, RetryError } from "../retry/mod.ts";
import { isAnswer } from "./command_error.ts";
import { failureOf } from "./call.ts";
import type { SendOptions } from "./send_options.ts";
import { Lease } from "./lease.ts";
import type { Task } from "./task.ts";

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
  /** What to do before another attempt, which is a replay or not. */
  onRetry(isReplay: () => boolean): (attempt: RetryAttempt) => void;
}

/**
 * Sends a command that may wait for long, on a connection of its own.
 *
 * @param task Ends it.
 * @returns The reply.
 * @throws What `Redis.send` throws.
 */
export async function sendBlocking(
  command: Command,
  { binary, replay }: SendOptions,
  task: Task,
  host: BlockingHost,
): Promise<Reply> {
  const { signal } = task;
  let mayRunAgain = true;
  let isReplay = false;
  let wasLostAtClose = false;
  const { failures } = task;
  const failed = (error: unknown, again: boolean): unknown => {
    failures.push(error);
    mayRunAgain = again;
    return error;
  };
  const once = async () => {
    isReplay = false;
    const right = await host.checkout().catch((error) => {
      throw failed(error, mayPass(error));
    });
    const lease = new Lease(right, undefined, {
      release: (clean) => host.release(right, clean),
      isReplica: () => host.isReplica(right),
    });
    try {
      task.isInFlight = true;
      return await lease.send(command, { signal, binary });
    } catch (error) {
      if (!(error instanceof ConnectionClosedError)) {
        throw failed(
          error,
          error instanceof ReplyError ? isPassing(error) : mayPass(error),
        );
      }
      const { report, fate } = error;
      const loss = { report, fate, untouched: true, openedAt: 0 };
      const failure = failureOf([{ loss, command }], replay);
      isReplay = failure.isReplay;
      wasLostAtClose = task.isClosed;
      throw failed(failure.error, failure.mayRunAgain);
    } finally {
      task.isInFlight = false;
      lease.release();
    }
  };
  const { policy } = host;
  try {
    if (policy === false) return await once();
    return await policy.run(once, {
      signal,
      isRetriable: () => mayRunAgain,
      onRetry: host.onRetry(() => isReplay),
    });
  } catch (error) {
    if (signal.aborted && !task.isClosed) throw signal.reason;
    if (isAnswer(error) || error instanceof RetryError) throw error;
    const all = wasLostAtClose || failures.includes(error)
      ? failures
      : [...failures, error];
    throw all.length > 1
      ? new RetryError(all, { attempts: failures.length })
      : all[0];
  }
}
