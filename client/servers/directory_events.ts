// What a directory finds out, for those who watch it.
import type { Endpoint } from "../../pool/socket/endpoint.ts";

/** Called with what a directory finds out. None throws. */
export interface DirectoryEvents {
  /**
   * A server has answered MOVED or ASK, and the command goes to another one.
   *
   * @param from The server that answered.
   * @param redirect Its answer; `to` is `host:port`.
   */
  onRedirect(
    from: Endpoint,
    redirect: {
      readonly code: "MOVED" | "ASK";
      readonly hashSlot: number;
      readonly to: string;
    },
  ): void;
  /**
   * A server was asked for the topology.
   *
   * @param asked The server.
   * @param answer What is known now, how long it took in milliseconds, why it
   * was asked, and why there is no answer that can be used.
   */
  onTopology(
    asked: Endpoint,
    answer: {
      readonly servers: readonly string[];
      readonly covered: number;
      readonly tookMs: number;
      readonly why: string;
      readonly error?: unknown;
    },
  ): void;
  /**
   * Sentinels name another primary than before, or the first one.
   *
   * @param primary The primary now.
   * @param change The name of the primary, where it was before, `host:port`, and
   * the Sentinel that has said so.
   */
  onPrimary(
    primary: Endpoint,
    change: {
      readonly name: string;
      readonly from: string | undefined;
      readonly namedBy: string;
    },
  ): void;
}
