// Simulation: one fleet through one scenario, and the figures of it.
import { Chance } from "./chance.ts";
import type { FleetClient } from "./clients.ts";
import type { Rate, ServerCosts } from "./model_server.ts";
import type { Scenario } from "./scenarios.ts";
import { World } from "./world.ts";

/** What became of a fleet. */
export interface Figures {
  /** Events that arrived; each was served, was lost, or is held to the end. */
  readonly arrived: number;
  readonly served: number;
  readonly lost: number;
  readonly held: number;
  /** The most events that waited at one time. */
  readonly mostHeld: number;
  readonly retries: number;
  /** The longest time until a caller had an answer, in milliseconds. */
  readonly longestMs: number;
  /** From when everything could be served until the last event that had waited was, in milliseconds. */
  readonly recoveryMs: number;
  /** At the server that got most of them. */
  readonly dials: Load;
  readonly questions: Load;
}

/** How many of something one server got. */
export interface Load {
  /** The most within a second. */
  readonly peak: number;
  readonly total: number;
}

/** Runs a fleet through a scenario. */
export function simulate(
  { size, course }: Scenario,
  client: FleetClient,
  costs: ServerCosts,
  seed: number,
): Figures {
  const world = new World(size, course, costs, new Chance(seed));
  const newIsolate = client.newIsolates(world);
  world.run(Array.from({ length: size.isolates }, newIsolate));
  const { tally, servers } = world;
  return {
    arrived: tally.arrived,
    served: tally.served,
    lost: tally.lost,
    held: tally.held,
    mostHeld: tally.mostHeld,
    retries: tally.retries,
    longestMs: tally.longestMs,
    recoveryMs: Math.max(0, tally.lastLateAt - course.backMs),
    dials: worst(servers.map(({ dials }) => dials)),
    questions: worst(servers.map(({ questions }) => questions)),
  };
}

const worst = (rates: readonly Rate[]): Load => ({
  peak: Math.max(...rates.map(({ peak }) => peak)),
  total: Math.max(...rates.map(({ total }) => total)),
});
