// The proof as text.
import { ExponentialBackoff, Retry } from "../../mod.ts";
import type { Method } from "./arguments.ts";
import { EVENTS, type EventsResult, KILL_EVERY_MS } from "./webhook_events.ts";
import { count } from "../../pool/connection/quantities.ts";
import { bold, columns, green, number, red } from "../ansi.ts";
import { flawOf, type Proof } from "./result.ts";
import type { RequestResult, RequestsResult } from "./requests.ts";

const METHOD = {
  kill: "CLIENT KILL ID, from an admin connection",
  shutdown: "shutdown of the socket, after which the server closes it",
} as const;

const { retries } = new Retry();
const backoff = new ExponentialBackoff();
const SCHEDULE = Array.from({ length: retries }, (_, i) => backoff.delayMs(i))
  .join(", ");

/** What is tested, where and how. */
export function heading(
  { deno, system, server, origin, endpoint, tls }: Proof["environment"],
  { name, reason }: Proof["method"],
): string[] {
  const method = METHOD[name] + (reason === null ? "" : ` (${reason})`);
  return [
    bold("Zombie connections: what they cost, and the cure"),
    "",
    ...columns([
      ["Deno", `${deno} on ${system}`],
      ["Server", server],
      ["Endpoint", `${endpoint}, ${tls ? "TLS" : "plain TCP"} (${origin})`],
      ["Zombies by", method],
    ]),
    "",
    "A zombie is a connection that the server has closed and the client still",
    "takes for open. The close is real. The socket of this proof delays it until",
    "the client has written the next request, as a freeze of the client would.",
  ];
}

const test = (title: string, ...lines: string[]): string[] => [
  "",
  bold(title),
  ...lines,
];
const EACH =
  "Each request: open a connection, PING, make it a zombie; then SET, GET, DEL.";
/** The terms of the lines and tables. */
const TERMS = [
  "A replay sends a command again at once, on a fresh connection. A retry is",
  "another attempt after a wait.",
];
const OUTCOMES = [
  "recorded at once: Redis acknowledged the event before the call returned.",
  "queued: Redis had not yet; the recorder kept the event and sent it later.",
  "dropped: the recorder had no room left for the event, so it is lost.",
];

export const TEST_1: readonly string[] = test(
  "Test 1: without retry (retry: false)",
  EACH,
);
export const TEST_2: readonly string[] = test(
  "Test 2: with the default retry",
  EACH,
  ...TERMS,
);
export const TEST_3: readonly string[] = test(
  `Test 3: ${number(EVENTS)} webhook events, default retry`,
  `Meanwhile all connections are killed every ${KILL_EVERY_MS} ms.`,
  ...OUTCOMES,
);

/** A request; if it failed, also why its connection was closed. */
export function request(
  { error, replays, retries, tookMs, verdict }: RequestResult,
  number: number,
): string[] {
  const head = `  ${`${number}`.padStart(2)}  `;
  if (error === null) {
    return [
      `${head}${green("ok    ")}  ${tookMs} ms, ${count(replays, "replay")}, ${
        count(retries, "retry", "retries")
      }`,
    ];
  }
  const failed = `${head}${red("failed")}  ${error.name}: ${error.message}`;
  const why = verdict === null ? [] : [`      why:    ${verdict.text}`];
  return [failed, ...why];
}

/** The cause that the proof itself made. */
const ACTUAL_CAUSE: Record<Method, string> = {
  kill: "CLIENT KILL from the admin connection",
  shutdown: "a shutdown by this client, which the server does not count",
};

/** How many requests failed, and which causes were found. */
export function requestsSummary(
  { failed, requests }: RequestsResult,
  method: Method,
): string[] {
  const causes = Map.groupBy(
    requests,
    ({ verdict }) =>
      verdict === null
        ? "not looked for"
        : verdict.cause === null
        ? "none"
        : `${verdict.cause} (${verdict.confidence})`,
  );
  const found = Array.from(
    causes,
    ([cause, { length }]) => `${length} of ${requests.length} ${cause}`,
  );
  return [
    `  ${bold(`${failed} of ${requests.length}`)} requests failed`,
    `  causes found: ${found.join(", ")}`,
    `  actual cause: ${ACTUAL_CAUSE[method]}`,
  ];
}

/** The outcome of the events. */
export function events(result: EventsResult): string[] {
  const { recorded, queued, dropped } = result.outcomes;
  return [
    ...columns([
      ["recorded at once", `${number(recorded)}`],
      ["queued, sent later", `${number(queued)}`],
      ["dropped", `${number(dropped)}`],
      [
        "connections killed",
        `${result.connectionsKilled} in ${count(result.rounds, "round")}`,
      ],
      ["replays", `${result.replays}`],
      ["retries", `${result.retries}`],
      ["longest call", `${result.longestMs} ms`],
    ]),
    `  ${
      bold(`${number(result.stored)} of ${number(result.events)}`)
    } events in the sorted sets`,
  ];
}

/** The results as a table, and the recommended settings. */
export function conclusion(proof: Proof): string[] {
  const { withoutRetry, withRetry, events } = proof;
  const row = (
    settings: string,
    { failed, requests }: RequestsResult,
  ): string[] => [
    settings,
    `${failed} of ${requests.length}`,
    failed === 0 ? "every request answered" : "requests lost",
  ];
  const lost = number(events.outcomes.dropped);
  return [
    "",
    ...columns([
      ["Settings", "Errors", "Result"],
      row("retry: false", withoutRetry),
      row("default retry", withRetry),
      [
        "default retry, killed again and again",
        `${lost} of ${number(events.events)}`,
        `${number(events.stored)} of ${number(events.events)} events recorded`,
      ],
    ]),
    "",
    bold("Recommended settings") + ", the defaults except for the URL:",
    `a replay at once on a fresh connection, then waits of up to ${SCHEDULE} ms.`,
    "",
    ...CODE.split("\n").map((line) => `  ${line}`.trimEnd()),
    "",
    proof.ok
      ? green("Proved: the errors appear without retry and are gone with it.")
      : red(`Not proved: ${flawOf(proof)}.`),
  ];
}

const CODE = `
import { ExponentialBackoff, Redis, Retry } from "@unzombie/redis";

const redis = new Redis(Deno.env.get("REDIS_URL"), {
  maxConnections: 10,
  retry: new Retry({
    retries: ${retries},
    backoff: new ExponentialBackoff({ baseMs: 100, capMs: 1000, jitter: 0.5 }),
  }),
});
`.trim();
