// Why a connection fell silent: the server stood still, or the network did.
import { count, duration } from "../connection/quantities.ts";
import {
  type Finding,
  HINT,
  type Incident,
  isSameRun,
  LIKELY,
  movedByOthers,
  POSSIBLE,
  PROOF,
  restOf,
  type Silence,
} from "./incident.ts";

/** A connection that was idle for longer than this before its last use, in milliseconds, may have been dropped by then. */
const RESTED_MS = 60_000;
/** A dial that takes this long, and `factor` times as long as usual, had to wait. */
const SLOW_DIAL = { leastMs: 100, factor: 5, leastMsIfUnknown: 1000 };
/** What kept the server busy for at least this part of a silence is its cause. */
const SHARE_OF_SILENCE = 0.5;
/** How coarse the times of SLOWLOG and LATENCY are, in milliseconds. */
const SLOW_COARSE_MS = 1000;

/** The server stood still, or only the network to it. */
export const silenceFindings = (incident: Incident): Finding[] => [
  ...slowRunFindings(incident),
  ...forkFindings(incident),
  ...pauseFindings(incident),
  ...bystanderFindings(incident),
];

/** The server's own lists of what kept it busy. */
function slowRunFindings({ report, after }: Incident): Finding[] {
  const { closedAt, owedMs } = report;
  return Object.entries(after.slow ?? {}).flatMap(([probe, runs]) => {
    const meanwhile = runs.filter(({ endedAt, tookMs }) =>
      endedAt + SLOW_COARSE_MS >= closedAt - owedMs &&
      endedAt - tookMs <= after.takenAt
    ).sort((a, b) => b.tookMs - a.tookMs);
    const [longest] = meanwhile;
    const sumMs = meanwhile.reduce((sum, { tookMs }) => sum + tookMs, 0);
    if (longest === undefined || sumMs < SHARE_OF_SILENCE * owedMs) return [];
    const all = meanwhile.length === 1
      ? ""
      : `, ${meanwhile.length} such together ${duration(sumMs)}`;
    return [{
      cause: "server-stall" as const,
      weight: PROOF,
      evidence: [
        `${probe}: ${longest.what} took ${duration(longest.tookMs)}${all}`,
      ],
      ...probe === "SLOWLOG GET"
        ? { advice: `make ${longest.what} shorter, or send it elsewhere` }
        : {},
    }];
  });
}

/** A fork, for a save or a replica, during which the server answers nothing. */
function forkFindings(incident: Incident): Finding[] {
  const { before, after, report: { owedMs } } = incident;
  const forkMs = Number(after.info.latest_fork_usec) / 1000;
  const isNew = isSameRun(incident) &&
    before.info.latest_fork_usec !== after.info.latest_fork_usec;
  if (!isNew || !(forkMs >= SHARE_OF_SILENCE * owedMs)) return [];
  return [{
    cause: "server-stall",
    weight: LIKELY,
    evidence: [`a fork took ${duration(forkMs)}`],
  }];
}

const pausesIn = (incident: Incident): string[] =>
  movedByOthers(incident, "cmdstat_client|pause");

function pauseFindings(incident: Incident): Finding[] {
  const pauses = pausesIn(incident);
  if (pauses.length === 0) return [];
  return [{
    cause: "server-stall",
    weight: LIKELY,
    evidence: pauses,
    advice: "find out what sends CLIENT PAUSE",
  }];
}

/** What the other connections of this client met meanwhile. */
function bystanderFindings(incident: Incident): Finding[] {
  const { after, silence } = incident;
  // If the server still lists the connection, bytes were lost on the network:
  // counter_rules.ts takes that for proof.
  if (silence === undefined || after.listed) return [];
  const { silent, answered, unanswered } = silence;
  if (answered > 0) {
    return [{
      cause: "middlebox",
      weight: HINT,
      evidence: [
        `it fell silent, ${count(answered, "other")} answered meanwhile`,
      ],
    }];
  }
  const evidence = [
    silent > 1 ? `${silent} connections fell silent at once` : "it fell silent",
    "no other connection was answered meanwhile",
    ...unanswered > 0
      ? [`${count(unanswered, "new connection")} got no answer`]
      : [],
  ];
  if (isSlow(silence)) return [slowDial(silence, evidence)];
  return unanswered > 0
    ? unansweredFindings(incident, silence, evidence)
    : goneFindings(incident, silence, evidence);
}

const isSlow = ({ dialMs, usualDialMs }: Silence): boolean =>
  usualDialMs === undefined
    ? dialMs >= SLOW_DIAL.leastMsIfUnknown
    : dialMs >= SLOW_DIAL.leastMs && dialMs >= SLOW_DIAL.factor * usualDialMs;

/** The next dial had to wait, too. */
function slowDial(
  { dialMs, usualDialMs }: Silence,
  evidence: readonly string[],
): Finding {
  const usual = usualDialMs === undefined
    ? ""
    : `, usually ${duration(usualDialMs)}`;
  return {
    cause: "server-stall",
    weight: LIKELY,
    evidence: [
      ...evidence,
      `a new connection took ${duration(dialMs)} to open${usual}`,
    ],
  };
}

/** Dials got no answer: whether the server ran their HELLO when it went on tells a stall from a loss. */
function unansweredFindings(
  incident: Incident,
  { opened, unanswered }: Silence,
  evidence: readonly string[],
): Finding[] {
  const { before, after } = incident;
  const from = Number(before.info["cmdstat_hello"]);
  const to = Number(after.info["cmdstat_hello"]);
  const hellos = `cmdstat_hello calls ${from} -> ${to}`;
  const others = to - from - opened - unanswered;
  const mayBeLost = pausesIn(incident).length === 0;
  if (others < 0 && mayBeLost) {
    const lost = `what they sent never reached the server: ${hellos}`;
    return [{
      cause: "middlebox",
      weight: LIKELY,
      evidence: [...evidence, lost],
    }];
  }
  const ran = others === 0 ? [`the server ran their HELLO: ${hellos}`] : [];
  const stall: Finding = {
    cause: "server-stall",
    weight: POSSIBLE,
    evidence: [...evidence, ...ran],
  };
  return others !== 0 && mayBeLost
    ? [stall, { cause: "middlebox", weight: POSSIBLE, evidence: [] }]
    : [stall];
}

/** No dial went wrong: what is left is whether the server has noticed the end. */
function goneFindings(
  { report, after }: Incident,
  { silent }: Silence,
  evidence: readonly string[],
): Finding[] {
  if (restOf(report) >= RESTED_MS) return [];
  const isGone = after.listed === "";
  const gone =
    "the server no longer lists it: it has read that this client closed it";
  return [{
    cause: "server-stall",
    weight: silent > 1 && isGone ? POSSIBLE : HINT,
    evidence: isGone ? [...evidence, gone] : evidence,
  }];
}
