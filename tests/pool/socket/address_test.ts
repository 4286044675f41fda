// The address of a server as text: as servers write it, and as users do.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import {
  addressGiven,
  addressIn,
  hostIn,
  isIp,
  textOfAddress,
} from "../../../pool/socket/address.ts";

Deno.test("A host is a name or an address, IPv6 in its shortest form, and nothing that could mean more", () => {
  const HOSTS: readonly (readonly [unknown, string | undefined])[] = [
    ["h", "h"],
    ["node_1.redis.example", "node_1.redis.example"],
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "::1"],
    ["FE80:0:0::1", "fe80::1"],
    ["h".repeat(255), "h".repeat(255)],
    ["", undefined],
    ["?", undefined],
    ["h".repeat(256), undefined],
    ["a b", undefined],
    ["a\n", undefined],
    ["a/b", undefined],
    ["u@h", undefined],
    ["[::1]", undefined],
    ["a:b", undefined],
    ["fe80::1%eth0", undefined],
    ["é", undefined],
    [7, undefined],
    [null, undefined],
    [undefined, undefined],
  ];
  for (const [value, host] of HOSTS) {
    assertEquals(hostIn(value), host, `${value}`);
  }
});

Deno.test("An address is told from a name", () => {
  for (const ip of ["127.0.0.1", "10.0.0.255", "::1", "fe80::1"]) {
    assertEquals(isIp(ip), true, ip);
  }
  for (const name of ["h", "n1.redis.example", "10.0.0.1.example", "10"]) {
    assertEquals(isIp(name), false, name);
  }
});

Deno.test("Servers write IPv6 without brackets, and leave out what is known elsewhere", () => {
  assertEquals(addressIn("::1:7000"), { hostname: "::1", port: 7000 });
  assertEquals(addressIn("[::1]:7000"), { hostname: "::1", port: 7000 });
  assertEquals(addressIn(":7000"), { hostname: "", port: 7000 });
  assertEquals(addressIn("?:7000"), { hostname: "?", port: 7000 });
  assertEquals(addressIn("h:0"), { hostname: "h", port: 0 });
  for (
    const text of ["h", "h:", "h:07", "h:65536", "[h]:1", "[::1:1", "a:b:1"]
  ) assertEquals(addressIn(text), undefined, text);
});

Deno.test("Users write IPv6 in brackets, and may leave out a port that has a default", () => {
  assertEquals(addressGiven("h:7000"), { hostname: "h", port: 7000 });
  assertEquals(addressGiven("[::1]:7000"), { hostname: "::1", port: 7000 });
  assertEquals(addressGiven("h", 6379), { hostname: "h", port: 6379 });
  assertEquals(addressGiven("[::1]", 6379), { hostname: "::1", port: 6379 });
  for (
    const text of [
      "h",
      "",
      ":1",
      "?:1",
      "h:0",
      "h:65536",
      "::1",
      "::1:1",
      "[h]:1",
    ]
  ) assertEquals(addressGiven(text), undefined, text);
});

Deno.test("An address as text has brackets around IPv6, and can be read again", () => {
  for (const text of ["h:7000", "127.0.0.1:1", "[::1]:65535"]) {
    assertEquals(textOfAddress(addressIn(text)!), text);
    assertEquals(textOfAddress(addressGiven(text)!), text);
  }
});
