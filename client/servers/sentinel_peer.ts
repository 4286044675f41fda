// One Sentinel: how it is reached, what it is asked, and what its answer says.
import { ReplyError } from "../../resp/errors.ts";
import type { Command, Reply } from "../../resp/types.ts";
import { ConnectionClosedError } from "../../pool/connection/close_report.ts";
import type { Connection } from "../../pool/connection/connection.ts";
import { ask } from "../../pool/connection/in_flight.ts";
import { open, type OpenOptions } from "../../pool/connection/open.ts";
import {
  type Address,
  hostIn,
  textOfAddress,
} from "../../pool/socket/address.ts";
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
      return "asks for a password: give it in sentinel.password if it is a Sentinel (most listen on port 26379)";
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

/** What a Sentinel says. */
export interface SentinelAnswer {
  /** Where the primary is. */
  readonly primary: Address;
  /**
   * Its configuration epoch: each failover has a higher one than that before. A
   * Sentinel that has not heard of a failover still answers the one before.
   * `undefined` if the user may not ask for it.
   */
  readonly epoch: number | undefined;
  /** The other Sentinels of this primary. */
  readonly others: readonly Address[];
}

/**
 * What is asked of a Sentinel, to be sent in one write.
 *
 * @param name The name of the primary in its configuration.
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-api}
 */
export const questionsFor = (name: string): Command[] => [
  ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
  ["SENTINEL", "SENTINELS", name],
  ["SENTINEL", "MASTER", name],
];

/** The most of other Sentinels that are taken from an answer: a deployment has 3 or 5. */
const MAX_OTHERS = 50;

/**
 * Reads the replies to {@linkcode questionsFor}.
 *
 * @param replies The replies, in order.
 * @returns What they say, or `undefined` if the Sentinel has no primary of that name.
 * @throws {ReplyError} If the Sentinel refuses to answer.
 * @throws {Error} If the first reply is no address.
 */
export function answerOf(
  [address, others, primary]: readonly Reply[],
): SentinelAnswer | undefined {
  if (address === null) return undefined;
  if (address instanceof ReplyError) throw address;
  const [hostname, port] = Array.isArray(address) ? address : [];
  const found = addressOf(hostname, port);
  if (found === undefined) {
    throw new Error("its answer is no address of a primary");
  }
  const epoch = Number(entriesOf(primary).get("config-epoch"));
  return {
    primary: found,
    epoch: Number.isSafeInteger(epoch) ? epoch : undefined,
    others: (Array.isArray(others) ? others : []).slice(0, MAX_OTHERS)
      .map((other) => {
        const entries = entriesOf(other);
        return addressOf(entries.get("ip"), entries.get("port"));
      })
      .filter((other) => other !== undefined),
  };
}

/**
 * An answer in words, as evidence that another server has taken over.
 *
 * @param primary Where the primary is now.
 * @param name The name of the primary in the configuration of the Sentinels.
 */
export const takeoverEvidence = (primary: Address, name: string): string =>
  `Sentinel names ${textOfAddress(primary)} as the primary of ${name}`;

/** The names and values of a flat list. */
function entriesOf(reply: Reply | undefined): Map<Reply, Reply> {
  const entries = new Map<Reply, Reply>();
  if (!Array.isArray(reply)) return entries;
  for (let i = 0; i + 1 < reply.length; i += 2) {
    entries.set(reply[i]!, reply[i + 1]!);
  }
  return entries;
}

function addressOf(
  host: Reply | undefined,
  port: Reply | undefined,
): Address | undefined {
  // A Sentinel with `resolve-hostnames` answers an empty host for a name that it cannot resolve.
  const hostname = hostIn(host);
  if (hostname === undefined) return undefined;
  const number = typeof port === "string" && /^\d{1,5}$/.test(port)
    ? Number(port)
    : 0;
  return number >= 1 && number <= 65535
    ? { hostname, port: number }
    : undefined;
}
