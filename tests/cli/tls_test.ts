// How messages about TLS options of the module read at the command line.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { inOptions } from "../../cli/tls.ts";

Deno.test("A message about options of the module names those of the command line", () => {
  const texts: [string, string][] = [
    ["pass it in tls.caCerts", "pass it with --ca FILE"],
    ["Cannot use tls.caCerts[0]: x", "Cannot use --ca: x"],
    ["tls.cert and tls.key", "--cert and --key"],
    ["Cannot use tls.serverName", "Cannot use --server-name"],
    ["tls.certain", "tls.certain"],
  ];
  for (const [from, to] of texts) assertEquals(inOptions(from), to);
});
