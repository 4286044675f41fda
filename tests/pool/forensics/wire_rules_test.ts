// Causes that the last bytes from the server give away.

import "../../support/strict.ts";
import { testRows } from "./incidents.ts";

testRows([
  ["an error reply about max clients", "max-clients", "likely", {
    report: {
      how: "protocol-error",
      during: "handshake",
      cause: "Unasked error reply: ERR max number of clients reached",
    },
  }],
  ["others were rejected", undefined, "none", {
    is: { rejected_connections: "7" },
  }],
  ["rejected in the handshake", "max-clients", "likely", {
    report: { during: "handshake" },
    is: { rejected_connections: "7", maxclients: "10" },
  }, /rejected_connections 0 -> 7, maxclients 10/],
  ["a bad reply", "protocol-error", "likely", {
    report: { how: "protocol-error", cause: "Bad type" },
    is: { errorstat_ERR: "2" },
  }, /Bad type, errorstat_ERR 0 -> 2,.*look for a proxy/],
  ["a reply over the limit of this client", "protocol-error", "likely", {
    report: { how: "protocol-error", cause: "Reply too large: 9 bytes" },
  }, /raise the limits of this client$/],
]);
