// A program that serves KvOutboxes of a database file. It runs with --unstable-kv.
import { Redis } from "../../../../client/redis.ts";
import { KvOutbox } from "../../../../recorder/stores/kv_outbox.ts";
import { fromJson, recorderFor, serve, type Served, toJson } from "./serve.ts";

const [path] = Deno.args;
const kv = await Deno.openKv(path!);
const served = new Map<string, Served>();

/** The store of a URL: its path is the prefix. */
function servedAt({ pathname, searchParams }: URL): Served {
  const known = served.get(pathname);
  if (known !== undefined) return known;
  const prefix = pathname.slice(1).split("/");
  const maxBytes = searchParams.get("maxBytes");
  const redis = searchParams.get("redis");
  const store = new KvOutbox(kv, {
    prefix,
    ...maxBytes === null ? {} : { maxBytes: Number(maxBytes) },
  });
  const made: Served = {
    store,
    recorder: redis === null ? undefined : recorderFor(new Redis(redis), store),
    raw: {
      list: async () =>
        (await Array.fromAsync(kv.list({ prefix }))).map((
          { key, value },
        ) => [key.slice(prefix.length).join("/"), toJson(value)]),
      put: (name, value) => kv.set([...prefix, name], fromJson(value)),
    },
  };
  served.set(pathname, made);
  return made;
}

Deno.serve(
  {
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => console.log(port),
  },
  (request) => serve(request, servedAt(new URL(request.url))),
);
