// The routes of the shops that are blocked.
import type { Blacklist } from "@unzombie/redis";
import { Refusal, secondsIn, shopIn } from "./requests.ts";
import type { Routes } from "./routes.ts";
import { checkToken } from "./token.ts";

/**
 * With a token all of them ask for it. Without one there is the list alone, and it
 * is open: it has the ids of shops, and nothing of Redis.
 *
 * @param onCut Called with the error that has cut a list short.
 */
export function blockedRoutes(
  blacklist: Blacklist,
  adminToken: string | undefined,
  onCut: (error: unknown) => void,
): Routes[string] {
  const list: Routes[string] = {
    GET: ({ path }) => {
      if (path.length > 0) throw new Refusal(404, "no such page");
      return listOf(blacklist.blocked(), onCut);
    },
  };
  if (adminToken === undefined) return list;
  const routes: Routes[string] = {
    ...list,
    PUT: async ({ path, query }) => {
      const reason = query.get("reason")?.slice(0, 200);
      await blacklist.block(shopIn(path), {
        ...secondsIn(query, "seconds", 7),
        ...(reason ? { reason } : {}),
      });
      return new Response(null, { status: 204 });
    },
    DELETE: async ({ path }) => {
      await blacklist.unblock(shopIn(path));
      return new Response(null, { status: 204 });
    },
  };
  return Object.fromEntries(
    Object.entries(routes).map(([method, route]) => [method, async (asked) => {
      await checkToken(asked.request, adminToken, ["Bearer"]);
      return await route(asked);
    }]),
  );
}

/** A JSON array that is sent while it is read: it may be long. Cut short, it has no end. */
async function listOf(
  items: AsyncIterable<unknown>,
  onCut: (error: unknown) => void,
): Promise<Response> {
  const lines = linesOf(items);
  const first = await lines.next(); // before the status is sent: Redis may be away
  const body = async function* () {
    if (!first.done) yield first.value;
    try {
      yield* lines;
    } catch (error) {
      onCut(error);
    }
  };
  const parts = body();
  const encoder = new TextEncoder();
  // Bun 1.2 has no `ReadableStream.from`.
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await parts.return();
    },
  });
  return new Response(stream, {
    headers: { "content-type": "application/json" },
  });
}

async function* linesOf(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  let before = "[";
  for await (const item of items) {
    yield `${before}\n${JSON.stringify(item)}`;
    before = ",";
  }
  yield before === "[" ? "[]\n" : "\n]\n";
}
