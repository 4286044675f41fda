// That a doubt about a server ends.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { Doubts } from "../../../client/servers/doubts.ts";
import type { Server } from "../../../client/servers/server.ts";

/** A server that was last heard at a moment. */
const heardAt = (at: number) => ({ heardAt: at }) as Server;
const inUse = () => true;

Deno.test("A doubt lasts for two seconds after what last spoke against the server", () => {
  const doubts = new Doubts();
  const server = heardAt(0);
  doubts.add(server, 1000);
  assertEquals(doubts.reconsider(3000, inUse), true);
  doubts.add(server, 2500);
  assertEquals(doubts.reconsider(4500, inUse), true);
  assertEquals(doubts.reconsider(4501, inUse), false);
  assertEquals(doubts.has(server), false);
});

Deno.test("A byte of the server ends a doubt", () => {
  const doubts = new Doubts();
  doubts.add(heardAt(1001), 1000);
  assertEquals(doubts.reconsider(1002, inUse), false);
});

Deno.test("A server that is in use no more is in no doubt", () => {
  const doubts = new Doubts();
  const left = heardAt(0);
  const stays = heardAt(0);
  doubts.add(left, 1000);
  doubts.add(stays, 1000);
  assertEquals(doubts.reconsider(1100, (server) => server === stays), true);
  assertEquals([doubts.has(left), doubts.has(stays)], [false, true]);
});
