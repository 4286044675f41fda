// That what a Sentinel answers is read as it is meant, and refused where it means nothing.

import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import {
  answerOf,
  questionsFor,
} from "../../../client/servers/sentinel_peer.ts";
import { ReplyError } from "../../../mod.ts";

const SENTINELS = [
  ["name", "9f", "ip", "10.0.0.2", "port", "26379", "flags", "sentinel"],
  ["name", "7a", "ip", "s3.example", "port", "26380"],
];
const PRIMARY = ["name", "mymaster", "config-epoch", "7", "quorum", "2"];

Deno.test("A Sentinel names a primary, its configuration epoch and the other Sentinels", () => {
  assertEquals(
    answerOf([["10.0.0.9", "6379"], SENTINELS, PRIMARY]),
    {
      primary: { hostname: "10.0.0.9", port: 6379 },
      epoch: 7,
      others: [
        { hostname: "10.0.0.2", port: 26379 },
        { hostname: "s3.example", port: 26380 },
      ],
    },
  );
});

Deno.test("A Sentinel without a primary of that name answers null", () => {
  const refused = new ReplyError("ERR No such master with that name");
  assertEquals(answerOf([null, refused, refused]), undefined);
});

Deno.test("An address is enough: a user may be allowed to ask for it alone", () => {
  const refused = new ReplyError("NOPERM this user has no permissions");
  assertEquals(answerOf([["db.example", "6380"], refused, refused]), {
    primary: { hostname: "db.example", port: 6380 },
    epoch: undefined,
    others: [],
  });
});

Deno.test("An error reply in place of an address is thrown", () => {
  const refused = new ReplyError("NOAUTH Authentication required.");
  assertThrows(
    () => answerOf([refused, refused, refused]),
    ReplyError,
    "NOAUTH",
  );
});

for (
  const nonsense of [
    [],
    "OK",
    ["", "6379"],
    ["10.0.0.9"],
    ["10.0.0.9", "0"],
    ["10.0.0.9", "65536"],
    ["10.0.0.9", "port"],
    ["10.0.0.9", 6379],
  ]
) {
  Deno.test(`${JSON.stringify(nonsense)} is no address`, () => {
    assertThrows(
      () => answerOf([nonsense, SENTINELS, PRIMARY]),
      Error,
      "its answer is no address of a primary",
    );
  });
}

Deno.test("Sentinels without an address, and those beyond fifty, are left out", () => {
  const others = [
    ["name", "x"],
    "nonsense",
    ["ip", "", "port", "26379"],
    ...Array.from({ length: 60 }, (_, i) => [
      "ip",
      `10.0.0.${i}`,
      "port",
      "26379",
    ]),
  ];
  assertEquals(
    answerOf([["10.0.0.9", "6379"], others, PRIMARY])?.others.length,
    47,
  );
});

Deno.test("The three questions name the primary", () => {
  assertEquals(
    questionsFor("mymaster").map((command) => command.join(" ")),
    [
      "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster",
      "SENTINEL SENTINELS mymaster",
      "SENTINEL MASTER mymaster",
    ],
  );
});
