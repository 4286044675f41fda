// That a client can be limited to one request.

import "../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { OneRequest, oneRequest } from "../../client/one_request.ts";

Deno.test("The first call says which request it is, and any other request is refused with what to do", () => {
  let request = 1;
  const limit = new OneRequest("client", () => {
    const marked = request;
    return () => request === marked;
  });
  request = 2;
  limit.assert("send PING");
  limit.assert("send PING");
  for (request of [1, 3]) {
    assertThrows(
      () => limit.assert("send PING"),
      TypeError,
      "Cannot send PING: this client was first used in another request, and on Cloudflare Workers " +
        "a socket belongs to the request that has opened it. Make a client for each request, or let a Durable Object have it",
    );
  }
  request = 2;
  limit.assert("send PING");
});

Deno.test("Where sockets belong to the process nothing is limited", () => {
  assertEquals(oneRequest("client"), undefined);
});
