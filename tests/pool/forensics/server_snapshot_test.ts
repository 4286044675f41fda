// What is asked of a server, and how its replies are read.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  aheadMs,
  infoCommand,
  readConfig,
  readInfo,
  readSlow,
  SLOW_COMMANDS,
} from "../../../pool/forensics/server_probe.ts";
import { snapshot } from "./incidents.ts";

Deno.test("readInfo keeps what matters, and counts calls that did not fail", () => {
  assertEquals(
    readInfo(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nos:Linux\r\n" +
        "cmdstat_client|kill:calls=4,usec=1,usec_per_call=1.0,rejected_calls=0,failed_calls=1\r\n" +
        "cmdstat_client|list:calls=4,usec=1\r\ncmdstat_client:calls=2,usec=1\r\n" +
        "errorstat_ERR:count=3\r\n",
    ),
    {
      redis_version: "7.0.15",
      run_id: "abc",
      "cmdstat_client|kill": "3",
      cmdstat_client: "2",
      errorstat_ERR: "3",
    },
  );
});

Deno.test("infoCommand asks Redis before 7 for everything, later ones for sections", () => {
  assertEquals(infoCommand(), ["INFO", "all"]);
  assertEquals(infoCommand("6.2.14"), ["INFO", "all"]);
  assertEquals(infoCommand("7.0.0").slice(0, 2), ["INFO", "server"]);
  assertEquals(infoCommand("10.1.0").length, 7);
});

Deno.test("readConfig keeps names and values, of buffers those of normal clients", () => {
  assertEquals(
    readConfig([
      ...["timeout", "0", "client-output-buffer-limit"],
      "normal 1 2 3 slave 4 5 6 pubsub 7 8 9",
    ]),
    { timeout: "0", "client-output-buffer-limit": "normal 1 2 3" },
  );
  assertEquals(
    readConfig(["client-output-buffer-limit", "normal 1 2 3 replica 4 5 6"]),
    { "client-output-buffer-limit": "normal 1 2 3" },
  );
  assertEquals(readConfig(["timeout"]), {});
  assertEquals(readConfig("timeout"), {});
});

Deno.test("Of slow commands the last 32 are asked for, and the latest events", () => {
  assertEquals(SLOW_COMMANDS, [["SLOWLOG", "GET", 32], ["LATENCY", "LATEST"]]);
});

Deno.test("readSlow keeps names and times of commands and events, never arguments", () => {
  assertEquals(
    readSlow([
      [7, 1_700_000_000, 2_500_000, ["eval", "secret"], "127.0.0.1:1", ""],
      [6, 1_699_999_999, 12_000, ["KEYS", "*"]],
    ], 250),
    [
      { what: "EVAL", endedAt: 1_700_000_000_250, tookMs: 2500 },
      { what: "KEYS", endedAt: 1_699_999_999_250, tookMs: 12 },
    ],
  );
  assertEquals(
    readSlow([["fork", 1_700_000_000, 900, 1200, 3000, 4]], 0),
    [{ what: "fork", endedAt: 1_700_000_000_000, tookMs: 900 }],
  );
  assertEquals(readSlow([1, "x"], 0), []);
  assertEquals(readSlow("nothing", 0), []);
});

Deno.test("aheadMs compares the clocks where the server says its own", () => {
  assertEquals(aheadMs(snapshot(5000)), 0);
  assertEquals(aheadMs(snapshot(5000, { server_time_usec: "3000000" })), 2000);
});
