// A shop as an argument, and its name in keys.
import { isObject, show } from "../../client/check.ts";
import type { Shop } from "./types.ts";

/** `{mallId}_{shopNo}`: no two shops have the same name, since a number has no `_`. */
export const nameOf = ({ mallId, shopNo }: Shop): string =>
  `${mallId}_${shopNo}`;

/** The shop of a name; `undefined` if it is not one. */
export function shopOf(name: string): Shop | undefined {
  const at = name.lastIndexOf("_");
  const shop = {
    mallId: name.slice(0, Math.max(0, at)),
    shopNo: Number(name.slice(at + 1)),
  };
  return at > 0 && shop.shopNo >= 0 && nameOf(shop) === name ? shop : undefined;
}

/** @throws {TypeError} If it is no shop. An event is one, whatever it has besides. */
export function checkShop(what: string, shop: Shop): void {
  const refuse = (name: string, value: unknown, expected: string): never => {
    throw new TypeError(
      `Cannot ${what}: ${name} is ${show(value)}, expected ${expected}`,
    );
  };
  if (!isObject(shop)) refuse("shop", shop, "an object { mallId, shopNo }");
  const { mallId, shopNo } = shop;
  if (typeof mallId !== "string" || mallId === "") {
    refuse("mallId", mallId, "a string that is not empty");
  }
  if (!Number.isSafeInteger(shopNo) || shopNo < 0) {
    refuse("shopNo", shopNo, "a whole number of 0 or more");
  }
}
