// That an address means one server, whether a server or a user has written it.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  addressGiven,
  addressIn,
  textOfAddress,
} from "../../../pool/socket/address.ts";

const at = (hostname: string, port: number) => ({ hostname, port });

Deno.test("The address that a user has written is host and port, with brackets around IPv6", () => {
  const given: readonly [string, ReturnType<typeof addressGiven>][] = [
    ["h", at("h", 26379)],
    ["h:7000", at("h", 7000)],
    ["n-1.redis.example:65535", at("n-1.redis.example", 65535)],
    ["10.0.0.1:1", at("10.0.0.1", 1)],
    ["[::1]", at("::1", 26379)],
    ["[::1]:7000", at("::1", 7000)],
    ["[2001:DB8::0:1]:7000", at("2001:db8::1", 7000)],
    ["", undefined],
    [":7000", undefined],
    ["h:", undefined],
    ["h:0", undefined],
    ["h:65536", undefined],
    ["h:70000000", undefined],
    ["h:07", undefined],
    ["h:x", undefined],
    ["h: 7", undefined],
    [" h:7", undefined],
    ["a b", undefined],
    ["::1", undefined],
    ["::1:7000", undefined],
    ["[::1", undefined],
    ["[]:7000", undefined],
    ["[h]:7000", undefined],
    ["[:::1]:7000", undefined],
    ["[[::1]]:7000", undefined],
    ["a,b", undefined],
    ["h/1", undefined],
    ["u:p@h", undefined],
    ["u@h", undefined],
    ["h?x", undefined],
    ["redis://h:7", undefined],
  ];
  for (const [text, address] of given) {
    assertEquals(addressGiven(text, 26379), address, text);
  }
  assertEquals(addressGiven("h"), undefined);
  assertEquals(addressGiven("[::1]"), undefined);
  assertEquals(addressGiven("h:7000"), at("h", 7000));
});

Deno.test("An address is read again as it is printed, by either reader", () => {
  for (const address of [at("h", 1), at("10.0.0.1", 65535), at("::1", 7000)]) {
    const text = textOfAddress(address);
    assertEquals(addressGiven(text), address, text);
    assertEquals(addressIn(text), address, text);
  }
});
