// Which library this is: sent before a connection's first command, in the same write.
import { ReplyError } from "../../resp/errors.ts";
import type { Command } from "../../resp/types.ts";
import type { Endpoint } from "../socket/endpoint.ts";
import { greetingHistoryOf } from "./greeting_history.ts";
import type { Identity } from "./identity.ts";
import type { Slot } from "./in_flight.ts";

/** Since Redis 7.2: https://redis.io/docs/latest/commands/client-setinfo/ */
const INTRODUCTION: readonly Command[] = [
  ["CLIENT", "SETINFO", "LIB-NAME", "unzombie"],
  ["CLIENT", "SETINFO", "LIB-VER", "0.1.0"],
];

/**
 * The slots that go before the first command. There are none for a server that
 * is older, or whose version is not known: it would count an unknown command as
 * an error in its statistics.
 */
export function introductionTo(
  endpoint: Endpoint,
  { version }: Identity,
): Slot[] {
  const history = greetingHistoryOf(endpoint);
  if (!history.takesIntroduction || !isAtLeast(version, 7, 2)) return [];
  const omitFromNowOn = () => {
    history.takesIntroduction = false;
  };
  return INTRODUCTION.map((command) => ({
    command,
    binary: false,
    extraReplyTimeoutMs: 0,
    resolve: (reply) => {
      if (reply instanceof ReplyError) omitFromNowOn();
    },
    lose: ({ report }) => {
      // A proxy that closes on a command that it does not know.
      if (report.how === "fin" || report.how === "rst") omitFromNowOn();
    },
  }));
}

/**
 * Whether a version is a given one or a later one.
 *
 * @param version Such as `"7.2.4"`; `undefined` is earlier than any.
 * @param major The first number of the given version.
 * @param minor Its second number.
 */
function isAtLeast(
  version: string | undefined,
  major: number,
  minor: number,
): boolean {
  const [a = 0, b = 0] = version?.split(".").map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
