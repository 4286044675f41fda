// The events of a watch as text.
import { count, duration } from "../../pool/connection/quantities.ts";
import { bold, columns, green, red } from "../ansi.ts";
import type {
  AwayEvent,
  BackEvent,
  CauseRow,
  DeathEvent,
  FrozenEvent,
  NodesEvent,
  StalledEvent,
  StartEvent,
  Status,
  SummaryEvent,
} from "./json_lines.ts";
import type { Role } from "./watch_slot.ts";

/** What is watched, and for how long. */
export const start = (event: StartEvent): string[] => [
  bold(
    `Watching ${event.endpoint} (version ${event.server ?? "unknown"}, ${
      transportOf(event.tls)
    }) ${lengthOf(event.forMs)}`,
  ),
  ...columns(duties(event.connections)),
];

/** How each of several servers is watched, and for how long. */
export type Plan = Pick<StartEvent, "tls" | "connections" | "forMs">;

/** Which servers are watched, at the start. */
export const nodes = (event: NodesEvent, plan: Plan): string[] => [
  bold(
    `Watching ${event.of} (${
      count(event.nodes.length, "server")
    }, ${event.covered} hash slots covered, ${transportOf(plan.tls)}) ${
      lengthOf(plan.forMs)
    }`,
  ),
  ...columns([
    ...event.nodes.map(({ node, hashSlots }) => [
      node,
      `hash slots ${shortened(hashSlots)}`,
    ]),
    ...duties(plan.connections).map(([what, rhythm]) => [
      `${what} each`,
      rhythm!,
    ]),
  ]),
];

/** What has gone from one server to another. */
export const changes = ({ at, changes }: NodesEvent): string[] =>
  changes.map(({ from, what }) => `${clock(at)}  ${from}: ${shortened(what)}`);

/** The watch of one of several servers has begun. */
export const joined = ({ at, endpoint, server }: StartEvent): string[] => [
  `${clock(at)}  watching ${endpoint} (version ${server ?? "unknown"})`,
];

/** Hash slots that were moved one by one are hundreds of ranges. */
const shortened = (text: string): string =>
  text.replace(
    /((?:\d+(?:-\d+)?,){6})(\d+(?:-\d+)?,)+/,
    (_all, first: string) => `${first}…,`,
  );

const transportOf = (tls: boolean): string => tls ? "TLS" : "plain TCP";

const lengthOf = (forMs: number | null): string =>
  forMs === null ? "until Ctrl-C" : `for ${duration(forMs)}`;

function duties(connections: StartEvent["connections"]): string[][] {
  const of = (wanted: Role) =>
    connections.filter(({ role }) => role === wanted);
  const [idle, busy] = [of("idle"), of("busy")];
  const rests = [...new Set(idle.map(({ usedEveryMs }) => usedEveryMs))];
  const used = rests.flatMap((ms) => ms === null ? [] : duration(ms));
  const rhythm = [
    ...(rests.includes(null) ? ["never used"] : []),
    ...(used.length > 0 ? [`used every ${used.join(", ")}`] : []),
  ].join(", or ");
  const [beat] = busy;
  return [
    ...(idle.length > 0 ? [[`${idle.length} idle`, rhythm]] : []),
    ...(beat !== undefined
      ? [[`${busy.length} busy`, `PING every ${beat.usedEveryMs} ms`]]
      : []),
  ];
}

/** The deaths of one moment: a line for each cause, and for each way where the cause is not known. */
export function deaths(
  deaths: readonly DeathEvent[],
  isOneOfSeveral = false,
): string[] {
  const alike = Map.groupBy(
    deaths,
    ({ cause, confidence, how, during }) =>
      cause === null ? `${how} ${during}` : `${cause} ${confidence}`,
  );
  return Array.from(alike.values(), (group) => {
    const [first] = group as [DeathEvent];
    const ended = group.length === 1
      ? `${first.close}${beforeUse(first)}`
      : `${group.length} connections${
        isOneOfSeveral ? ` to ${first.node}` : ""
      } ended at once (${waysOf(group)}, idle ${
        range(group.map(({ idleMs }) => idleMs))
      })`;
    const frozen = first.frozenMs > 0
      ? `; this process was frozen for ${
        duration(first.frozenMs)
      } before, so the idle time says nothing`
      : "";
    return `${clock(first.at)}  ${red(ended)}; ${first.outcome}${frozen}`;
  });
}

const HOW: Record<string, string> = { fin: "FIN", rst: "RST" };

/** `FIN`, or `8 FIN, 2 RST`. */
function waysOf(deaths: readonly DeathEvent[]): string {
  const ways = Map.groupBy(deaths, ({ how }) => HOW[how] ?? how);
  return Array.from(
    ways,
    ([way, { length }]) => ways.size === 1 ? way : `${length} ${way}`,
  ).join(", ");
}

/** The rest before the use that showed the end. */
const beforeUse = ({ during, role, idleMs }: DeathEvent): string =>
  during === "idle" || role === "busy"
    ? ""
    : `, used after ${duration(idleMs)} of rest`;

/** No connection can be opened. */
export const away = (
  { at, node, reason, open }: AwayEvent,
  isOneOfSeveral = false,
): string =>
  `${clock(at)}  ${isOneOfSeveral ? `${node} ` : ""}${
    red("away")
  }: ${reason}; ${open} still open, trying again`;

/** Connections can be opened again. */
export const back = (
  { at, node, afterMs }: BackEvent,
  isOneOfSeveral = false,
): string =>
  `${clock(at)}  ${isOneOfSeveral ? `${node} ` : ""}${green("back")} after ${
    duration(afterMs)
  }`;

/** The server answered late. */
export const stalled = (
  { at, node, forMs }: StalledEvent,
  isOneOfSeveral = false,
): string =>
  `${clock(at)}  ${isOneOfSeveral ? `${node} ` : ""}${red("stalled")} for ${
    duration(forMs)
  }: so long an answer took, and no connection ended`;

/** This process was frozen. */
export const frozen = ({ at, forMs }: FrozenEvent): string =>
  `${clock(at)}  this process was frozen for ${
    duration(forMs)
  }: connections that end now are no sign of a limit`;

/** The watch at this moment, in one line. */
export const status = (
  { watchedMs, open, connections, oldestIdleMs, deaths, isAway }: Status,
): string =>
  [
    `watched ${duration(watchedMs)}`,
    `${open} of ${connections} open${isAway ? " (server away)" : ""}`,
    `longest idle ${duration(oldestIdleMs)}`,
    count(deaths, "death"),
  ].join(", ");

/** The same for a log. */
export const note = (what: Status): string =>
  `${clock(new Date().toISOString())}  ${status(what)}`;

/** The summary at the end, of one server or of several. */
export function summary(events: readonly SummaryEvent[]): string[] {
  const isOfSeveral = events.length > 1;
  const sum = (of: (event: SummaryEvent) => number) =>
    events.reduce((sum, event) => sum + of(event), 0);
  const most = (of: (event: SummaryEvent) => number) =>
    Math.max(...events.map(of));
  const time = duration(most(({ watchedMs }) => watchedMs));
  const longestIdle = duration(most(({ longestIdleMs }) => longestIdleMs));
  const frozenMs = most(({ frozenMs }) => frozenMs);
  const refused = [...new Set(events.flatMap(({ refused }) => refused))].sort();
  const died = sum(({ deaths }) => deaths);
  const notes = [
    ...events.filter(({ awayTimes }) => awayTimes > 0).map((event) =>
      `${isOfSeveral ? event.endpoint : "The server"} was away ${
        count(event.awayTimes, "time")
      }, for ${duration(event.awayMs)} in total: ${event.awayReason}.`
    ),
    ...(frozenMs > 0
      ? [`This process was frozen for ${duration(frozenMs)}.`]
      : []),
    ...(refused.length > 0
      ? [
        `The server refuses ${
          refused.join(", ")
        }: some causes cannot be found without it.`,
      ]
      : []),
  ];
  if (died === 0) {
    const open = sum(({ open }) => open);
    const connections = sum(({ connections }) => connections);
    const meaning = open === 0 ? ["No connection was open at the end."] : [
      `${
        open === connections ? "Each" : `${open} of ${connections}`
      } answered at the end: nothing closes connections that are idle for up to`,
      `${longestIdle}. To find longer limits, watch for longer than the longest`,
      "pause of your service.",
    ];
    return [
      "",
      bold(`No connection died in ${time}: longest idle ${longestIdle}`),
      ...meaning,
      ...notes,
    ];
  }
  const named = (name: string, rest: string[]): string[] =>
    isOfSeveral ? [name, ...rest] : rest;
  return [
    "",
    bold(`${count(died, "connection")} died in ${time}`),
    ...columns([
      named("Server", [
        ...["Deaths", "Cause", "Confidence", "Idle for", "What to do"],
      ]),
      ...events.flatMap(({ endpoint, causes }) =>
        causes.map((row) =>
          named(endpoint, [
            `${row.deaths}`,
            nameOf(row),
            confidenceOf(row),
            range([row.idleMs.min, row.idleMs.max]),
            row.advice ?? adviceOf(row),
          ])
        )
      ),
    ]),
    `Connections survived up to ${longestIdle} of rest.`,
    ...notes,
  ];
}

const nameOf = ({ cause, afterFreeze }: CauseRow): string =>
  cause ?? (afterFreeze ? "after a freeze" : "unknown");

function confidenceOf({ confidence, deaths }: CauseRow): string {
  const given = (["likely", "possible", "none"] as const).filter((name) =>
    confidence[name] > 0
  );
  return given.map((name) =>
    confidence[name] === deaths ? name : `${confidence[name]} ${name}`
  ).join(", ");
}

const adviceOf = ({ afterFreeze }: CauseRow): string =>
  afterFreeze
    ? "watch on a machine that does not sleep"
    : "check the server's log, and proxies in between";

function range(ms: readonly number[]): string {
  const [min, max] = [Math.min(...ms), Math.max(...ms)].map(duration);
  return min === max ? min! : `${min} to ${max}`;
}

/** `2025-01-31 23:59:59`, local time. */
function clock(iso: string): string {
  const at = new Date(iso);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace("T", " ");
}
