// Where an error reply sends a command, as servers of all versions write it, and what is no redirect.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { redirectOf } from "../../../client/servers/redirect.ts";
import { ReplyError } from "../../../resp/errors.ts";

const REDIRECTS:
  readonly (readonly [text: string, hostname: string, port: number])[] = [
    ["3999 127.0.0.1:6381", "127.0.0.1", 6381],
    ["0 n1.redis.example:1", "n1.redis.example", 1],
    ["16383 node_1:65535", "node_1", 65535],
    ["5 ::1:7000", "::1", 7000],
    ["5 fe80:0:0:0:0:0:0:1:7000", "fe80::1", 7000],
    ["5 [::1]:7000", "::1", 7000],
    ["5 :7000", "", 7000],
    ["5 ?:7000", "?", 7000],
    ["5 h:0", "h", 0],
  ];

Deno.test("A redirect says which hash slot, and where it is", () => {
  for (const [text, hostname, port] of REDIRECTS) {
    const hashSlot = Number(text.split(" ")[0]);
    assertEquals(redirectOf(new ReplyError(`MOVED ${text}`)), {
      kind: "moved",
      hashSlot,
      hostname,
      port,
    });
    assertEquals(redirectOf(new ReplyError(`ASK ${text}`)), {
      kind: "ask",
      hashSlot,
      hostname,
      port,
    });
  }
});

const OTHERS = [
  "MOVED",
  "MOVED 5",
  "MOVED 5 h",
  "MOVED 5 h:",
  "MOVED 5 h:x",
  "MOVED 5 h:70000",
  "MOVED 5 h:07000",
  "MOVED 5 h:-1",
  "MOVED 5 h:7000 ",
  "MOVED 5 h:7000 and more",
  "MOVED 5 h 7000",
  "MOVED  5 h:7000",
  "MOVED 5 a/b:7000",
  "MOVED 5 u@h:7000",
  "MOVED 5 a:b:7000",
  "MOVED 5 [h]:7000",
  "MOVED 5 [::1:7000",
  "MOVED 5 ::zz:7000",
  "MOVED 5 h\n:7000",
  `MOVED 5 ${"h".repeat(256)}:7000`,
  "MOVED __proto__ x:1",
  "MOVED 16384 h:7000",
  "MOVED 99999 h:7000",
  "MOVED -1 h:7000",
  "MOVED 05 h:7000",
  "MOVED 1e3 h:7000",
  "MOVED 0x5 h:7000",
  "MOVED 5.0 h:7000",
  "MOVED \u0665 h:7000",
  "moved 5 h:7000",
  "ERR MOVED 5 h:7000",
  "REDIRECT h:7000",
  "TRYAGAIN Multiple keys request during rehashing of slot",
  "",
];

Deno.test("Every other error, and a redirect of which a part makes no sense, is none", () => {
  for (const text of OTHERS) {
    assertEquals(redirectOf(new ReplyError(text)), undefined, text);
  }
});
