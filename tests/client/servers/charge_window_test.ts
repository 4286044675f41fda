// That refusals of one moment have one charge.

import "../../support/strict.ts";
import { assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { ChargeWindow } from "../../../client/servers/charge_window.ts";

Deno.test("Refusals within a tenth of a second have one charge, later ones another", () => {
  const window = new ChargeWindow();
  const first = window.chargeAt(1000);
  assertStrictEquals(window.chargeAt(1100), first);
  const second = window.chargeAt(1101);
  assertNotStrictEquals(second, first);
  assertStrictEquals(window.chargeAt(1200), second);
});

Deno.test("Two windows have two charges from the start", () => {
  assertNotStrictEquals(
    new ChargeWindow().chargeAt(0),
    new ChargeWindow().chargeAt(0),
  );
});
