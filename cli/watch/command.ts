// Runs a watch at the command line, and prints its events.
import type { Output } from "../output.ts";
import { UsageError } from "../command_line.ts";
import { endpointOf, targetOf } from "../target.ts";
import { tlsOf } from "../tls.ts";
import { Watch } from "./watch.ts";
import type { WatchArguments } from "./arguments.ts";
import type { DeathEvent, WatchEvent } from "./json_lines.ts";
import * as text from "./text.ts";
import type { Duty } from "./watch_slot.ts";

const MINUTE_MS = 60_000;
/** How long idle connections rest, in turn. An idle limit shows itself between two of these. */
const RESTS_MS = [Infinity, ...[1, 2, 5, 10, 20, 30, 60].map(minutes)];
/** How often the progress on a terminal is renewed, in milliseconds. */
const LIVE_MS = 1000;

/** The duty of each connection. */
export const dutiesOf = (
  { idle, busy, everyMs }: Pick<WatchArguments, "idle" | "busy" | "everyMs">,
  restsMs: readonly number[] = RESTS_MS,
): Duty[] => [
  ...Array.from({ length: idle }, (_, i) => ({
    role: "idle" as const,
    everyMs: restsMs[i % restsMs.length]!,
  })),
  ...Array.from({ length: busy }, () => ({ role: "busy" as const, everyMs })),
];

/**
 * Watches until the signal, or for as long as was asked for.
 *
 * @throws {UsageError} If the server that was named cannot be used.
 * @throws {DialError} If it cannot be reached at the start.
 */
export async function watch(
  args: WatchArguments,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const target = targetOf(args);
  if (target === undefined) {
    throw new UsageError(
      "Cannot watch: expected --url or REDIS_URL",
    );
  }
  const endpoint = endpointOf(target.url, {
    clientName: "unzombie-watch",
    ...await tlsOf(args),
  }, target.urlFrom);
  const print = (event: WatchEvent | DeathEvent[]) => {
    output.progress("");
    output.print(args.json ? jsonLinesOf(event) : textLinesOf(event));
  };
  const watch = new Watch(endpoint, {
    duties: dutiesOf(args),
    forMs: args.forMs,
    signal,
    onEvent: print,
  });
  const timer = setInterval(
    () =>
      output.isLive
        ? output.progress(text.status(watch.status))
        : output.note(text.note(watch.status)),
    output.isLive ? LIVE_MS : MINUTE_MS,
  );
  const onStop = () => {
    clearInterval(timer);
    output.progress("sending a PING on the idle connections");
  };
  signal.addEventListener("abort", onStop, { once: true });
  try {
    print(await watch.run());
  } finally {
    clearInterval(timer);
    signal.removeEventListener("abort", onStop);
  }
}

const jsonLinesOf = (event: WatchEvent | DeathEvent[]): string[] =>
  [event].flat().map((event) => JSON.stringify(event));

function textLinesOf(event: WatchEvent | DeathEvent[]): string[] {
  if (Array.isArray(event)) return text.deaths(event);
  switch (event.type) {
    case "start":
      return text.start(event);
    case "death":
      return text.deaths([event]);
    case "away":
      return [text.away(event)];
    case "back":
      return [text.back(event)];
    case "frozen":
      return [text.frozen(event)];
    case "summary":
      return text.summary(event);
  }
}

function minutes(n: number): number {
  return n * MINUTE_MS;
}
