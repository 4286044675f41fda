// Kills, limits and demotions, as a server counts them.

import "../../support/strict.ts";
import { AWAITING, testRows } from "./incidents.ts";

testRows([
  ["Redis 6 counts every CLIENT command", "client-kill", "possible", {
    was: { redis_version: "6.2.0", cmdstat_client: "3" },
    is: { redis_version: "6.2.0", cmdstat_client: "4" },
  }],
  ["Redis 6 and a CLIENT LIST by this client", undefined, "none", {
    was: { redis_version: "6.2.0", cmdstat_client: "3" },
    is: { redis_version: "6.2.0", cmdstat_client: "4" },
    after: { own: { cmdstat_client: 1 } },
  }],
  ["an output buffer that is counted", "output-buffer-limit", "likely", {
    report: AWAITING,
    was: {
      client_output_buffer_limit_disconnections: "1",
      client_query_buffer_limit_disconnections: "0",
    },
    is: {
      client_output_buffer_limit_disconnections: "2",
      client_query_buffer_limit_disconnections: "0",
    },
  }],
  ["an output limit that is counted and did not move", undefined, "none", {
    report: AWAITING,
    is: {
      client_output_buffer_limit_disconnections: "0",
      client_query_buffer_limit_disconnections: "0",
    },
    after: {
      config: { "client-output-buffer-limit": "normal 1 0 0 slave 0 0 0" },
    },
  }],
  ["no output limit", undefined, "none", {
    report: AWAITING,
    after: {
      config: { "client-output-buffer-limit": "normal 0 0 0 slave 9 9 9" },
    },
  }],
  ["ACL LOAD", "acl-change", "likely", { is: { "cmdstat_acl|load": "1" } }],
  ["ACL SETUSER", "acl-change", "possible", {
    is: { "cmdstat_acl|setuser": "1" },
  }],
  ["readonly from the start", undefined, "none", {
    report: { by: "client", how: "requested", cause: "readonly" },
    was: { role: "slave" },
    is: { role: "slave" },
  }],
  ["a kill", "client-kill", "likely", { is: { "cmdstat_client|kill": "1" } }],
  ["a kill by this client", undefined, "none", {
    is: { "cmdstat_client|kill": "1" },
    after: { own: { "cmdstat_client|kill": 1 } },
  }],
  ["a kill, and one by this client", "client-kill", "likely", {
    is: { "cmdstat_client|kill": "2" },
    after: { own: { "cmdstat_client|kill": 1 } },
  }, /calls 0 -> 2, 1 of them by this client/],
  ["kills by this client before", "client-kill", "likely", {
    was: { "cmdstat_client|kill": "3" },
    is: { "cmdstat_client|kill": "4" },
    before: { own: { "cmdstat_client|kill": 3 } },
    after: { own: { "cmdstat_client|kill": 3 } },
  }, /calls 3 -> 4,/],
  ["a kill and CLIENT of Redis 6", "client-kill", "likely", {
    is: { "cmdstat_client|kill": "1", cmdstat_client: "1" },
  }],
  ["evicted", "client-eviction", "likely", { is: { evicted_clients: "1" } }],
  ["ACL DELUSER", "acl-change", "likely", {
    is: { "cmdstat_acl|deluser": "1" },
  }],
  ["ACL of Redis 6", "acl-change", "possible", { is: { cmdstat_acl: "1" } }],
  ["a query buffer that is counted", "query-buffer-limit", "likely", {
    report: AWAITING,
    is: { client_query_buffer_limit_disconnections: "1" },
  }],
  ["in a handshake kills of others count little", "client-kill", "possible", {
    report: { during: "handshake" },
    is: { "cmdstat_client|kill": "1" },
  }],
  ["bytes up to the query limit", "query-buffer-limit", "possible", {
    report: { ...AWAITING, bytesOut: 1000 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }, /1000 bytes out, client-query-buffer-limit 1000/],
  ["bytes below the query limit", undefined, "none", {
    report: { ...AWAITING, bytesOut: 999 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["the query limit while idle", undefined, "none", {
    report: { bytesOut: 1000 },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["the query limit in silence", undefined, "none", {
    report: {
      ...AWAITING,
      bytesOut: 1000,
      how: "silence",
      silentMs: 9e4,
      owedMs: 1,
    },
    after: { config: { "client-query-buffer-limit": "1000" } },
  }],
  ["demoted while it was used", "demotion", "possible", {
    report: AWAITING,
    is: { role: "slave", master_host: "h", master_port: "1" },
  }, /role master -> slave of h:1/],
  ["demoted and refused a write", "demotion", "likely", {
    report: { by: "client", how: "requested", cause: "readonly" },
    is: {
      role: "slave",
      master_host: "h",
      master_port: "1",
      "cmdstat_client|kill": "1",
    },
  }],
  ["promoted", undefined, "none", { was: { role: "slave" } }],
  ["an output limit that is not counted", "output-buffer-limit", "possible", {
    report: AWAITING,
    after: { config: { "client-output-buffer-limit": "normal 9 0 0" } },
  }, /GET awaited its reply, client-output-buffer-limit normal 9 0 0/],
]);
