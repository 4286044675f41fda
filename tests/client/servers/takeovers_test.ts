// Which hash slots have changed their primary between two topologies, and whether that was a promotion.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  type Takeover,
  takeoversOf,
} from "../../../client/servers/takeovers.ts";
import { textOfAddress } from "../../../pool/socket/address.ts";
import { at, read, threeByThree } from "./topologies.ts";

const inWords = ({ from, to, isPromotion, evidence }: Takeover): string =>
  `${textOfAddress(from)}, ${isPromotion ? "promotion" : "reshard"} of ${
    textOfAddress(to)
  }: ${evidence}`;

Deno.test("Between two topologies, a primary whose hash slots went to its replica was replaced, and others were resharded", () => {
  const before = threeByThree();
  const after = read([
    [0, 99, ["h", 7004, "4"], ["h", 7001, "1"]],
    [100, 199, ["h", 7002, "2"], ["h", 7005, "5"]],
    [200, 300, ["h", 7004, "4"], ["h", 7001, "1"]],
    [5461, 10922, ["h", 7002, "2"], ["h", 7005, "5"]],
    [10923, 10923, ["::1", 7007, "7"]],
    [10924, 16383, ["h", 7003, "3"], ["h", 7006, "6"]],
  ]);
  assertEquals(takeoversOf(before, after).map(inWords), [
    "h:7001, promotion of h:7004: hash slots 0-99,200-300 went to h:7004",
    "h:7001, reshard of h:7002: hash slots 100-199 went to h:7002",
    "h:7003, reshard of [::1]:7007: hash slot 10923 went to [::1]:7007",
  ]);
  // A hash slot without a server has not gone to one, nor come from one.
  assertEquals(takeoversOf(before, read([])), []);
  assertEquals(takeoversOf(read([]), after), []);
  assertEquals(takeoversOf(before, threeByThree()), []);
});

Deno.test("A promotion by a redirect is a takeover like any other", () => {
  const before = threeByThree();
  const after = before.moved(7, at(7004), at(7001));
  assertEquals(takeoversOf(before, after).map(inWords), [
    "h:7001, promotion of h:7004: hash slots 0-5460 went to h:7004",
  ]);
});
