// The watch at the command line: what is printed where.
import type { Audience } from "../output.ts";
import { UsageError } from "../command_line.ts";
import { endpointOf, targetOf } from "../target.ts";
import { tlsOf } from "../tls.ts";
import { Watch } from "./watch.ts";
import type { WatchArguments } from "./arguments.ts";
import type { DeathEvent, WatchEvent } from "./json_lines.ts";
import * as text from "./text.ts";
import type { Duty } from "./watch_slot.ts";

const MINUTE_MS = 60_000;
/** How long idle connections rest; a limit is between two of them. */
const RESTS_MS = [Infinity, ...[1, 2, 5, 10, 20, 30, 60].map(minutes)];
/** How often the line on a terminal is renewed, in milliseconds. */
const LIVE_MS = 1000;

/** What each connection does. */
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
 * Watches until the signal, or as long as was asked for.
 *
 * @throws {UsageError} If the server that was named cannot be used.
 * @throws {DialError} If it cannot be reached at the start.
 */
export async function watch(
  args: WatchArguments,
  audience: Audience,
  signal: AbortSignal,
): Promise<void> {
  const target = targetOf(args);
  if (target === undefined) {
    throw new UsageError(
      "Cannot watch: there is neither --url nor REDIS_URL",
    );
  }
  const endpoint = endpointOf(target.url, {
    clientName: "unzombie-watch",
    ...await tlsOf(args),
  }, target.origin);
  const tell = (event: WatchEvent | DeathEvent[]) => {
    audience.progress("");
    audience.say(args.json ? linesOf(event) : textOf(event));
  };
  const watch = new Watch(endpoint, {
    duties: dutiesOf(args),
    forMs: args.forMs,
    signal,
    onEvent: tell,
  });
  const timer = setInterval(
    () =>
      audience.isLive
        ? audience.progress(text.status(watch.status))
        : audience.note(text.note(watch.status)),
    audience.isLive ? LIVE_MS : MINUTE_MS,
  );
  const onStop = () => {
    clearInterval(timer);
    audience.progress("asking the idle connections whether they are alive");
  };
  signal.addEventListener("abort", onStop, { once: true });
  try {
    tell(await watch.run());
  } finally {
    clearInterval(timer);
    signal.removeEventListener("abort", onStop);
  }
}

const linesOf = (event: WatchEvent | DeathEvent[]): string[] =>
  [event].flat().map((event) => JSON.stringify(event));

function textOf(event: WatchEvent | DeathEvent[]): string[] {
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
