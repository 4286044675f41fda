// Runs a watch at the command line, and prints its events.
import type { Output } from "../output.ts";
import { UsageError } from "../command_line.ts";
import { Redis } from "../../mod.ts";
import type { Endpoint, EndpointOptions } from "../../pool/socket/endpoint.ts";
import { endpointOf, type Target, targetOf } from "../target.ts";
import { tlsOf } from "../tls.ts";
import { Watch } from "./watch.ts";
import type { WatchArguments } from "./arguments.ts";
import {
  type DeathEvent,
  orNull,
  type SummaryEvent,
  type WatchEvent,
} from "./json_lines.ts";
import type { NodeSource } from "./node_source.ts";
import type { NodesWatch, NodesWatchOptions } from "./nodes_watch.ts";
import * as text from "./text.ts";
import type { Duty } from "./watch_slot.ts";

const MINUTE_MS = 60_000;
/** How long idle connections rest, in turn. An idle limit shows itself between two of these. */
const RESTS_MS = [Infinity, ...[1, 2, 5, 10, 20, 30, 60].map(minutes)];
/** The name of each connection in CLIENT LIST. */
const CLIENT_NAME = "unzombie-watch";
/** How long the client that looks for servers waits for one of them, in milliseconds. */
const LOOK_MS = 1000;
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

/** Receives the events beside what is printed. */
export interface Report {
  add(event: WatchEvent): void;
}

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
  report?: Report,
): Promise<void> {
  const target = targetOf(args);
  if (target === undefined) {
    throw new UsageError(
      "Cannot watch: expected --url or REDIS_URL",
    );
  }
  const options = { clientName: CLIENT_NAME, ...await tlsOf(args) };
  const endpoint = endpointOf(target.url, options, target.urlFrom);
  await using source = await sourceOf(target, options, endpoint);
  const printed = new Printed(args, endpoint.tls !== undefined, source);
  const print = (event: WatchEvent | DeathEvent[] | SummaryEvent[]) => {
    for (const one of [event].flat()) report?.add(one);
    const lines = printed.linesOf(event);
    if (lines.length === 0) return;
    output.progress("");
    output.print(lines);
  };
  const common = {
    duties: dutiesOf(args),
    forMs: args.forMs,
    signal,
    onEvent: print,
  };
  const watch = source === undefined
    ? new Watch(endpoint, common)
    : await watchOfSeveral(source, endpoint, common);
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
    print([await watch.run()].flat());
  } finally {
    clearInterval(timer);
    signal.removeEventListener("abort", onStop);
  }
}

/** What says which servers there are; `undefined` if there is one. */
async function sourceOf(
  { url }: Target,
  options: EndpointOptions,
  { cluster, sentinel, tls }: Endpoint,
): Promise<NodeSource | undefined> {
  if (!cluster && sentinel === undefined) return undefined;
  // Imported here, since most users have one server.
  const { ClusterNodes, SentinelNodes } = await import("./node_source.ts");
  const redis = new Redis(url, {
    ...options,
    clientName: `${CLIENT_NAME}-nodes`,
    connectTimeoutMs: LOOK_MS,
    replyTimeoutMs: LOOK_MS,
  });
  return sentinel === undefined
    ? new ClusterNodes(redis, tls !== undefined)
    : new SentinelNodes(redis, sentinel);
}

async function watchOfSeveral(
  source: NodeSource,
  endpoint: Endpoint,
  options: Omit<NodesWatchOptions, "source" | "endpointAt">,
): Promise<NodesWatch> {
  const { NodesWatch } = await import("./nodes_watch.ts");
  return new NodesWatch({
    ...options,
    source,
    endpointAt: ({ hostname, port }) => endpoint.at(hostname, port),
  });
}

/** The events of a watch as lines: of JSON, or of text. */
class Printed {
  readonly #isJson: boolean;
  readonly #plan: text.Plan;
  readonly #isOfSeveral: boolean;
  #hasBegun = false;

  constructor(
    args: WatchArguments,
    tls: boolean,
    source: NodeSource | undefined,
  ) {
    this.#isJson = args.json;
    this.#isOfSeveral = source !== undefined;
    this.#plan = {
      tls,
      connections: dutiesOf(args).map(({ role, everyMs }) => ({
        role,
        usedEveryMs: orNull(everyMs),
      })),
      forMs: orNull(args.forMs),
    };
  }

  linesOf(event: WatchEvent | DeathEvent[] | SummaryEvent[]): string[] {
    return this.#isJson
      ? [event].flat().map((event) => JSON.stringify(event))
      : this.#textOf(event);
  }

  #textOf(event: WatchEvent | DeathEvent[] | SummaryEvent[]): string[] {
    if (Array.isArray(event)) {
      return isSummaries(event)
        ? text.summary(event)
        : text.deaths(event, this.#isOfSeveral);
    }
    switch (event.type) {
      case "nodes":
        if (this.#hasBegun) return text.changes(event);
        this.#hasBegun = true;
        return text.nodes(event, this.#plan);
      case "start":
        return this.#isOfSeveral ? text.joined(event) : text.start(event);
      case "death":
        return text.deaths([event], this.#isOfSeveral);
      case "away":
        return [text.away(event, this.#isOfSeveral)];
      case "back":
        return [text.back(event, this.#isOfSeveral)];
      case "stalled":
        return [text.stalled(event, this.#isOfSeveral)];
      case "open":
        return [];
      case "frozen":
        return [text.frozen(event)];
      case "summary":
        return text.summary([event]);
    }
  }
}

const isSummaries = (
  events: DeathEvent[] | SummaryEvent[],
): events is SummaryEvent[] => events[0]?.type === "summary";

function minutes(n: number): number {
  return n * MINUTE_MS;
}
