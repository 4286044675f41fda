// That the simulation of a fleet can be repeated, loses sight of no event, and shows a flood.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertThrows,
} from "@std/assert";
import { fleet } from "../../bench/fleet.ts";
import { Agenda } from "../../bench/fleet/agenda.ts";
import { Chance } from "../../bench/fleet/chance.ts";
import { CLIENTS, type FleetClient } from "../../bench/fleet/clients.ts";
import { ModelServer } from "../../bench/fleet/model_server.ts";
import { OurIsolate } from "../../bench/fleet/ours.ts";
import { scenariosOf } from "../../bench/fleet/scenarios.ts";
import { simulate } from "../../bench/fleet/simulate.ts";
import { ExponentialBackoff, Retry } from "../../retry/mod.ts";

const SCENARIOS = scenariosOf({
  isolates: 60,
  shards: 12,
  eventsPerSecond: 20,
});
const COSTS = { handshakeMs: 1, questionMs: 0.2 };

const scenario = (name: string) => SCENARIOS.find((one) => one.name === name)!;
const client = (name: string) => CLIENTS.find((one) => one.name === name)!;

Deno.test("Tasks are done in the order of their times, those of one time in the order of their arrival", () => {
  const agenda = new Agenda();
  const chance = new Chance(1);
  const done: [number, number][] = [];
  for (let n = 0; n < 500; n++) {
    const at = chance.below(50);
    agenda.at(at, () => done.push([at, n]));
  }
  while (agenda.nextAt < Infinity) agenda.step();
  const sorted = done.toSorted(([a, n], [b, m]) => a - b || n - m);
  assertEquals(done, sorted);
});

Deno.test("A server finishes handshakes one after the other, those of clients that have given up too", () => {
  const server = new ModelServer({ handshakeMs: 10, questionMs: 1 }, 1000);
  server.addDowntime({ from: 100, to: 200 });
  assertEquals(server.dial(0, 15), 10);
  assertEquals(server.dial(0, 15), undefined);
  assertEquals(server.dial(0, 100), 30);
  assertEquals(server.dial(150, 100), undefined);
  assertEquals([server.dials.total, server.dials.peak], [4, 4]);
});

for (const { name } of SCENARIOS) {
  Deno.test(`Every event is served, lost or still held: ${name}`, () => {
    for (const one of CLIENTS) {
      if (one.without?.includes(name)) continue;
      const figures = simulate(scenario(name), one, COSTS, 1);
      const { arrived, served, lost, held } = figures;
      assertGreater(arrived, 0);
      assertEquals(served + lost + held, arrived, one.name);
      assertEquals(held, 0, one.name);
    }
  });
}

Deno.test("A scenario or a client that does not exist is refused, with those that do", () => {
  for (const list of ["nosuch", "single,nosuch"]) {
    assertThrows(
      () => fleet(["--scenarios", list]),
      Error,
      'no scenario "nosuch"; there are failover, coverage, outage, upgrade, single',
    );
  }
  assertThrows(() => fleet(["--scenarios"]), Error, 'no scenario ""; there');
  assertThrows(
    () => fleet(["--clients", "nosuch"]),
    Error,
    `no client "nosuch"; there are ${CLIENTS[0]!.name}, `,
  );
});

Deno.test("A seed makes a run what it is", () => {
  for (const one of CLIENTS) {
    const run = (seed: number) =>
      simulate(scenario("failover"), one, COSTS, seed);
    assertEquals(run(7), run(7), one.name);
    assert(run(7).arrived !== run(8).arrived);
  }
});

Deno.test("The recorder loses no event in any scenario", () => {
  for (const one of SCENARIOS) {
    assertEquals(simulate(one, client("ours, record()"), COSTS, 1).lost, 0);
  }
});

Deno.test("A policy without pauses is seen to flood a server that is away", () => {
  const flood: FleetClient = {
    name: "no pauses",
    newIsolates: (world) => () =>
      new OurIsolate(world, {
        isRecorder: false,
        retry: new Retry({
          retries: 1000,
          backoff: new ExponentialBackoff({ baseMs: 5, capMs: 5 }),
        }),
        newDialPacing: () => ({
          waitMs: () => 0,
          failed: () => false,
          succeeded: () => {},
        }),
      }),
  };
  const { dials } = simulate(scenario("single"), flood, COSTS, 1);
  const ours = simulate(
    scenario("single"),
    client("ours, send, default retry"),
    COSTS,
    1,
  );
  assertGreater(dials.total, 10 * ours.dials.total);
  assertLess(ours.dials.peak, 60 * 20);
});
