// The events of a watch as text.
import { count, duration } from "../../pool/connection/quantities.ts";
import { bold, columns, green, red } from "../ansi.ts";
import type {
  AwayEvent,
  BackEvent,
  CauseRow,
  DeathEvent,
  FrozenEvent,
  StartEvent,
  Status,
  SummaryEvent,
} from "./json_lines.ts";
import type { Role } from "./watch_slot.ts";

/** What is watched, and for how long. */
export function start(event: StartEvent): string[] {
  const { endpoint, tls, server, connections, forMs } = event;
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
    bold(
      `Watching ${endpoint} (version ${server ?? "unknown"}, ${
        tls ? "TLS" : "plain TCP"
      }) ${forMs === null ? "until Ctrl-C" : `for ${duration(forMs)}`}`,
    ),
    ...columns([
      ...(idle.length > 0 ? [[`${idle.length} idle`, rhythm]] : []),
      ...(beat !== undefined
        ? [[`${busy.length} busy`, `PING every ${beat.usedEveryMs} ms`]]
        : []),
    ]),
  ];
}

/** The deaths of one moment: a line for each cause, and for each way where the cause is not known. */
export function deaths(deaths: readonly DeathEvent[]): string[] {
  const alike = Map.groupBy(
    deaths,
    ({ cause, confidence, how, during }) =>
      cause === null ? `${how} ${during}` : `${cause} ${confidence}`,
  );
  return Array.from(alike.values(), (group) => {
    const [first] = group as [DeathEvent];
    const ended = group.length === 1
      ? `${first.close}${beforeUse(first)}`
      : `${group.length} connections ended at once (${waysOf(group)}, idle ${
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
export const away = ({ at, reason, open }: AwayEvent): string =>
  `${clock(at)}  ${red("away")}: ${reason}; ${open} still open, trying again`;

/** Connections can be opened again. */
export const back = ({ at, afterMs }: BackEvent): string =>
  `${clock(at)}  ${green("back")} after ${duration(afterMs)}`;

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

/** The summary at the end. */
export function summary(event: SummaryEvent): string[] {
  const { watchedMs, deaths, causes, longestIdleMs, refused } = event;
  const time = duration(watchedMs);
  const notes = [
    ...(event.awayTimes > 0
      ? [
        `The server was away ${count(event.awayTimes, "time")}, for ${
          duration(event.awayMs)
        } in total: ${event.awayReason}.`,
      ]
      : []),
    ...(event.frozenMs > 0
      ? [`This process was frozen for ${duration(event.frozenMs)}.`]
      : []),
    ...(refused.length > 0
      ? [
        `The server refuses ${
          refused.join(", ")
        }: some causes cannot be found without it.`,
      ]
      : []),
  ];
  if (deaths === 0) {
    const meaning = event.open === 0
      ? ["No connection was open at the end."]
      : [
        `${
          event.open === event.connections
            ? "Each"
            : `${event.open} of ${event.connections}`
        } answered at the end: nothing closes connections that are idle for up to`,
        `${
          duration(longestIdleMs)
        }. To find longer limits, watch for longer than the longest`,
        "pause of your service.",
      ];
    const survived = `longest idle ${duration(longestIdleMs)}`;
    return [
      "",
      bold(`No connection died in ${time}: ${survived}`),
      ...meaning,
      ...notes,
    ];
  }
  return [
    "",
    bold(`${count(deaths, "connection")} died in ${time}`),
    ...columns([
      ["Deaths", "Cause", "Confidence", "Idle for", "What to do"],
      ...causes.map((row) => [
        `${row.deaths}`,
        nameOf(row),
        confidenceOf(row),
        range([row.idleMs.min, row.idleMs.max]),
        row.advice ?? adviceOf(row),
      ]),
    ]),
    `Connections survived up to ${duration(longestIdleMs)} of rest.`,
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
