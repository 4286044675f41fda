// The types of replies.ts as data, and whether a reply has the shape of one.
import { ReplyError } from "../../../resp/errors.ts";
import type { Reply } from "../../../resp/types.ts";

/** A type of a reply. */
export type Shape =
  | { readonly kind: "named"; readonly name: Named }
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "array"; readonly of: Shape }
  | { readonly kind: "tuple"; readonly places: readonly Place[] }
  | { readonly kind: "union"; readonly of: readonly Shape[] };

/** A place of a tuple. */
export interface Place {
  readonly how: "one" | "optional" | "rest";
  readonly shape: Shape;
}

/** What stands for itself. */
type Named = keyof typeof NAMED;

/** Whether a reply is what a name says, where bulk strings are text or bytes. */
const NAMED = {
  number: (reply) => typeof reply === "number",
  bigint: (reply) => typeof reply === "bigint",
  string: (reply) => typeof reply === "string",
  null: (reply) => reply === null,
  Bulk: (reply, isBinary) =>
    isBinary ? reply instanceof Uint8Array : typeof reply === "string",
  AnyReply: (reply) => !(reply instanceof ReplyError),
  Reply: () => true,
} satisfies Record<string, (reply: Reply, isBinary: boolean) => boolean>;

/** The rows of the map in the source of replies.ts, by their names. */
export function rowsOf(source: string): Map<string, string> {
  const [, map] = /export type BuiltInReplies<.*?> = \{\n([^]*?)\n\};/
    .exec(source)!;
  const rows = map!.matchAll(/^ {2}(?:"([^"]+)"|(\w+)):\s([^]*?);$/gm);
  return new Map(
    Array.from(rows, ([, quoted, name, type]) => [quoted ?? name!, type!]),
  );
}

/** The other types of replies.ts that rows name, by their names: `Bulk` is their only parameter. */
export function aliasesOf(source: string): Map<string, string> {
  const aliases = source.matchAll(
    /^export type (\w+)<Bulk = string> =\s([^{][^]*?);$/gm,
  );
  return new Map(Array.from(aliases, ([, name, type]) => [name!, type!]));
}

/** Reads a type as it is written in TypeScript. */
export function parseShape(
  type: string,
  aliases: ReadonlyMap<string, string> = new Map(),
): Shape {
  const tokens = type.match(/"[^"]*"|\.\.\.|\w+(?:<Bulk>)?\??:?|\S/g) ?? [];
  let at = 0;
  const take = (token: string): boolean => tokens[at] === token && !!++at;
  const expect = (token: string): void => {
    if (take(token)) return;
    throw new Error(`expected ${token} before ${tokens[at]} in ${type}`);
  };
  const union = (): Shape => {
    take("|");
    const of = [array()];
    while (take("|")) of.push(array());
    return of.length === 1 ? of[0]! : { kind: "union", of };
  };
  const array = (): Shape => {
    let shape = single();
    while (take("[")) {
      expect("]");
      shape = { kind: "array", of: shape };
    }
    return shape;
  };
  const single = (): Shape => {
    if (take("(")) {
      const shape = union();
      expect(")");
      return shape;
    }
    if (take("[")) return tuple();
    const token = tokens[at++];
    if (token?.startsWith('"')) {
      return { kind: "literal", text: token.slice(1, -1) };
    }
    const name = token?.replace("<Bulk>", "") ?? "";
    const alias = aliases.get(name);
    if (alias !== undefined) return parseShape(alias, aliases);
    if (!Object.hasOwn(NAMED, name)) {
      throw new Error(`unknown type ${token} in ${type}`);
    }
    return { kind: "named", name: name as Named };
  };
  const tuple = (): Shape => {
    const places: Place[] = [];
    while (!take("]")) {
      const isRest = take("...");
      const label = tokens[at]?.endsWith(":") ? tokens[at++] : undefined;
      const shape = union();
      places.push(
        isRest && shape.kind === "array"
          ? { how: "rest", shape: shape.of }
          : { how: label?.endsWith("?:") ? "optional" : "one", shape },
      );
      if (!take(",")) {
        expect("]");
        break;
      }
    }
    return { kind: "tuple", places };
  };
  const shape = union();
  if (at < tokens.length) throw new Error(`unread ${tokens[at]} in ${type}`);
  return shape;
}

/** A shape as one line of TypeScript, without labels. */
export function asTypeScript(shape: Shape): string {
  switch (shape.kind) {
    case "named":
      return shape.name;
    case "literal":
      return `"${shape.text}"`;
    case "array":
      return shape.of.kind === "union"
        ? `(${asTypeScript(shape.of)})[]`
        : `${asTypeScript(shape.of)}[]`;
    case "tuple": {
      const places = shape.places.map(({ how, shape }) =>
        how === "rest"
          ? `...${asTypeScript({ kind: "array", of: shape })}`
          : asTypeScript(shape) + (how === "optional" ? "?" : "")
      );
      return `[${places.join(", ")}]`;
    }
    case "union":
      return shape.of.map(asTypeScript).join(" | ");
  }
}

/**
 * Compares a reply with a shape.
 *
 * @param isBinary Whether bulk strings are bytes. Only then are they told from
 * simple strings.
 * @returns The parts of the shape that the reply shows, or `undefined` if it
 * does not fit. A part of a union is shown by what fits no other part of it.
 */
export function shownBy(
  shape: Shape,
  reply: Reply,
  isBinary: boolean,
): Set<Shape> | undefined {
  const shown = new Set([shape]);
  const shows = (part: Shape, reply: Reply | undefined): boolean => {
    if (reply === undefined) return false;
    const more = shownBy(part, reply, isBinary);
    more?.forEach((one) => shown.add(one));
    return more !== undefined;
  };
  switch (shape.kind) {
    case "named":
      return NAMED[shape.name](reply, isBinary) ? shown : undefined;
    case "literal":
      return reply === shape.text ? shown : undefined;
    case "array":
      return Array.isArray(reply) && reply.every((one) => shows(shape.of, one))
        ? shown
        : undefined;
    case "tuple": {
      if (!Array.isArray(reply)) return undefined;
      let at = 0;
      for (const { how, shape: part } of shape.places) {
        if (how === "one" && !shows(part, reply[at++])) return undefined;
        if (how === "one") continue;
        const end = how === "rest" ? reply.length : at + 1;
        while (at < Math.min(end, reply.length)) {
          if (!shows(part, reply[at++])) return undefined;
        }
      }
      return at === reply.length ? shown : undefined;
    }
    case "union": {
      const fits = shape.of.flatMap((part) =>
        shownBy(part, reply, isBinary) ?? []
      );
      if (fits.length === 1) fits[0]!.forEach((part) => shown.add(part));
      return fits.length > 0 ? shown : undefined;
    }
  }
}

/** The parts of a shape that must be shown: the parts of unions, the elements of arrays. */
export function partsOf(shape: Shape): Shape[] {
  const inside = shape.kind === "union"
    ? shape.of
    : shape.kind === "array"
    ? [shape.of]
    : shape.kind === "tuple"
    ? shape.places.map(({ shape }) => shape)
    : [];
  return inside.flatMap((part) => [part, ...partsOf(part)]);
}
