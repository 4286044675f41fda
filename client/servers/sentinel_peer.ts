// One Sentinel: how it is reached, and what it means if it does not answer.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { ConnectionClosedError } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { ask } from "../../pool/connection/in_flight.ts";
import { open, type OpenOptions } from "../../pool/connection/open.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import type { Endpoint } from "../../pool/socket/endpoint.ts";

/** For the dial of a Sentinel, and again for its answer, in milliseconds. */
const TIMEOUT_MS = 500;

/** One Sentinel, with the connection to it that is kept. */
export class Sentinel {
  readonly endpoint: Endpoint;
  readonly key: string;
  readonly isSeed: boolean;
  #connection: Connection | undefined;

  constructor(endpoint: Endpoint, key: string, isSeed: boolean) {
    this.endpoint = endpoint;
    this.key = key;
    this.isSeed = isSeed;
  }

  /** Closes the connection that is kept, if there is one. */
  hangUp(cause: string): void {
    this.#connection?.close(cause);
    this.#connection = undefined;
  }

  /**
   * Asks on the connection that is kept, or on a new one, in one write. The
   * connection is kept if all is answered.
   *
   * @throws {DialError} If it cannot be opened.
   * @throws {ConnectionClosedError} If it ends before the answer, on `signal` too.
   */
  async converse(
    commands: readonly Command[],
    options: Pick<OpenOptions, "dial" | "limits" | "signal">,
  ): Promise<Reply[]> {
    const { signal } = options;
    const kept = this.#connection;
    this.#connection = undefined;
    const connection = kept !== undefined && kept.report === undefined
      ? kept
      : await open(this.endpoint, {
        ...options,
        connectTimeoutMs: TIMEOUT_MS,
        replyTimeoutMs: TIMEOUT_MS,
        number: 0,
      });
    const onAbort = () => connection.close("its answer is not needed any more");
    signal.addEventListener("abort", onAbort);
    try {
      if (signal.aborted) onAbort(); // in the turn in which it was opened
      const replies = await Promise.all(
        commands.map((command) => ask(connection, command)),
      );
      if (!signal.aborted) this.#connection = connection;
      return replies;
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (this.#connection !== connection) connection.close("it has no answer");
    }
  }
}

/** Whether another question may be answered. */
export const isPassing = (error: unknown): boolean =>
  error instanceof DialError
    ? error.isRetriable
    : !(error instanceof ReplyError && isAboutRights(error));

const isAboutRights = ({ code }: ReplyError): boolean =>
  ["NOAUTH", "WRONGPASS", "NOPERM"].includes(code);

/** What a Sentinel failed with, to follow its address. */
export function describeFailure(error: unknown): string {
  const refusal = error instanceof DialError ? error.cause : error;
  if (refusal instanceof ReplyError) {
    const { code, message } = refusal;
    if (code === "NOAUTH") {
      return "asks for a password: give it in sentinel.password";
    }
    if (/^ERR unknown command/i.test(message)) {
      return "is no Sentinel: it does not answer SENTINEL";
    }
    return `refused: ${message}`;
  }
  if (error instanceof DialError) return error.reason;
  if (error instanceof ConnectionClosedError) {
    const { how, cause } = error.report;
    return how === "silence"
      ? `gave no answer for ${TIMEOUT_MS} ms`
      : `ended the connection (${cause ?? how})`;
  }
  return error instanceof Error ? error.message : String(error);
}
