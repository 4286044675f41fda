// The question for the topology of a cluster: CLUSTER SLOTS, to one server after the other.
import { ReplyError } from "../../resp/errors.ts";
import { DialError } from "../../pool/socket/dial_error.ts";
import type { Address } from "../../pool/socket/address.ts";
import { askWithin } from "./ask_within.ts";
import { firstAnswer, NoAnswerError } from "./first_answer.ts";
import type { Server } from "./server.ts";
import { Topology } from "./topology.ts";

/** How long a server has before the next one is asked beside it, in milliseconds. A server that is connected must answer in that time. */
export const STAGGER_MS = 500;

/** Options of {@linkcode askTopology}. */
export interface TopologyQuestion {
  /** The name of the cluster, for errors. */
  readonly name: string;
  /** The servers, in the order in which they are asked. */
  readonly sources: readonly Server[];
  /** How long one of them may take to connect and answer, in milliseconds. */
  readonly deadlineMs: number;
  /** Maps each address that a server names. */
  readonly mapAddress: (address: Address) => Address;
  /** The hash slots that calls wait for. */
  readonly wanted: readonly number[];
}

/** What a server has answered. */
export interface TopologyAnswer {
  readonly topology: Topology;
  readonly askedOf: Server;
  /** Whether each hash slot that was sought has a server. */
  readonly isComplete: boolean;
}

/**
 * Asks for the topology. An answer that lacks a hash slot which is sought counts
 * only if there is no better one.
 *
 * @throws {DialError} If no server has answered.
 */
export async function askTopology(
  { name, sources, deadlineMs, mapAddress, wanted }: TopologyQuestion,
): Promise<TopologyAnswer> {
  let best: TopologyAnswer | undefined;
  const ask = async (
    askedOf: Server,
    signal: AbortSignal,
  ): Promise<TopologyAnswer> => {
    const reply = await askWithin(askedOf, ["CLUSTER", "SLOTS"], {
      deadlineMs: askedOf.hasOpen ? STAGGER_MS : deadlineMs,
      signal,
    });
    const { endpoint } = askedOf;
    const topology = Topology.from(reply, endpoint, {
      isTls: endpoint.tls !== undefined,
      mapAddress,
    });
    if (topology === undefined) {
      throw new Error(
        reply instanceof ReplyError
          ? refusalOf(reply, askedOf.note)
          : "its answer to CLUSTER SLOTS cannot be read",
      );
    }
    const missing = wanted.find((hashSlot) =>
      topology.shards[topology.shardOf(hashSlot)] === undefined
    );
    const isComplete = missing === undefined && topology.covered > 0;
    const answer = { topology, askedOf, isComplete };
    if (isComplete) return answer;
    if (topology.covered > (best?.topology.covered ?? 0)) best = answer;
    throw new Error(
      missing === undefined
        ? "no server of it holds a hash slot"
        : `no server of it holds hash slot ${missing}`,
    );
  };
  try {
    return await firstAnswer(sources, {
      ask,
      staggerMs: STAGGER_MS,
      isFinal: isRefusedLogin,
    });
  } catch (error) {
    if (!(error instanceof NoAnswerError)) throw error;
    if (best !== undefined) return best;
    throw noAnswer(name, sources, error.failures);
  }
}

/** Every server of a cluster has the same users. */
const isRefusedLogin = (error: unknown): boolean =>
  error instanceof DialError && error.phase === "handshake" &&
  !error.isRetriable;

function noAnswer(
  name: string,
  sources: readonly Server[],
  failures: readonly unknown[],
): DialError {
  const list = failures.map((failure, i) =>
    `${sources[i]!.endpoint} ${reasonOf(failure)}`
  );
  const n = sources.length;
  return new DialError(
    name,
    "connect",
    `${
      n === 1 ? "its only known server has not" : `none of ${n} servers has`
    } answered CLUSTER SLOTS: ${list.join(", ")}`,
    { cause: failures.at(-1), isRetriable: failures.some(isRetriable) },
  );
}

/** A server that does not know CLUSTER, such as a Sentinel, repeats its arguments. */
const refusalOf = ({ message }: ReplyError, note: string | undefined): string =>
  `it answered ${message.replace(/, with args .*/s, "")}${
    note === undefined ? "" : `; ${note}`
  }`;

const isRetriable = (failure: unknown): boolean =>
  !(failure instanceof DialError) || failure.isRetriable;

const reasonOf = (failure: unknown): string =>
  failure instanceof DialError
    ? failure.reason
    : failure instanceof Error
    ? failure.message
    : String(failure);
