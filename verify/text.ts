// The proof as text.
import { ExponentialBackoff, Retry } from "../mod.ts";
import { EVENTS, type EventsResult, KILL_EVERY_MS } from "./events.ts";
import type { Proof } from "./result.ts";
import type { RequestResult, RequestsResult } from "./requests.ts";

const isColored = !Deno.noColor && Deno.stdout.isTerminal();
const paint = (code: number) => (text: string): string =>
  isColored ? `\x1b[${code}m${text}\x1b[0m` : text;
const bold = paint(1);
const red = paint(31);
const green = paint(32);

const METHOD = {
  kill: "CLIENT KILL ID, from an admin connection",
  shutdown: "shutdown of the socket, upon which the server closes it",
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
    "takes for open. The close is real; that the client hears of it only after",
    "it has written the request, as after a freeze, is arranged by its socket.",
  ];
}

const test = (title: string, ...lines: string[]): string[] => [
  "",
  bold(title),
  ...lines,
];
const EACH =
  "Each request: a new connection, PING, zombie; then SET, GET, DEL.";

export const TEST_1: readonly string[] = test(
  "Test 1: without retry (retry: false)",
  EACH,
);
export const TEST_2: readonly string[] = test(
  "Test 2: with the default retry",
  EACH,
);
export const TEST_3: readonly string[] = test(
  `Test 3: ${number(EVENTS)} webhook events, default retry`,
  `Every connection is killed each ${KILL_EVERY_MS} ms meanwhile.`,
);

/** One request. */
export function request(
  { error, replays, retries, tookMs }: RequestResult,
  number: number,
): string {
  const [mark, what] = error === null
    ? [
      green("ok    "),
      `${tookMs} ms, ${count(replays, "replay", "replays")}, ${
        count(retries, "retry", "retries")
      }`,
    ]
    : [red("failed"), `${error.name}: ${error.message}`];
  return `  ${`${number}`.padStart(2)}  ${mark}  ${what}`;
}

/** Both counts of a test of requests. */
export const requestsSummary = (
  { failed, requests }: RequestsResult,
): string[] => [
  `  ${bold(`${failed} of ${requests.length}`)} requests failed`,
];

/** What became of the events. */
export function events(result: EventsResult): string[] {
  const { recorded, queued, dropped } = result.outcomes;
  return [
    ...columns([
      ["recorded at once", `${number(recorded)}`],
      ["queued, sent later", `${number(queued)}`],
      ["dropped", `${number(dropped)}`],
      [
        "connections killed",
        `${result.connectionsKilled} in ${
          count(result.rounds, "round", "rounds")
        }`,
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

/** The table, and what to do. */
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
    bold("Recommended settings") + ", which are the defaults but for the URL:",
    `an immediate replay on a fresh connection, then waits of up to ${SCHEDULE} ms.`,
    "",
    ...CODE.split("\n").map((line) => `  ${line}`.trimEnd()),
    "",
    proof.ok
      ? green("Proved: the errors appear without retry and are gone with it.")
      : red(`Not proved: ${whyNot(proof)}.`),
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

function whyNot({ withoutRetry, withRetry, events }: Proof): string {
  if (withRetry.failed > 0) return "requests failed with retry, too";
  if (withoutRetry.failed < withoutRetry.requests.length) {
    return "not every zombie cost a request without retry";
  }
  if (events.connectionsKilled === 0) {
    return "no connection was killed while events were recorded";
  }
  return events.stored === events.events
    ? "requests failed for another reason than a closed connection"
    : "the sorted sets do not hold every event once";
}

/** Rows of equal length, aligned. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  }
  return rows.map((row) =>
    `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")}`.trimEnd()
  );
}

function number(n: number): string {
  return n.toLocaleString("en-US");
}

const count = (n: number, one: string, many: string): string =>
  `${number(n)} ${n === 1 ? one : many}`;
