// That a client can be limited to one request.

import "../../support/strict.ts";
import { assertThrows } from "@std/assert";
import { OneRequest } from "../../../pool/socket/other_runtimes.ts";

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
