// The types of replies: where one changes, this file does not compile.

import "../../support/strict.ts";

import { assertEquals } from "@std/assert";
import {
  type AnyReply,
  type Command,
  type CommandName,
  Redis,
  type RepliesOf,
  type Reply,
  type ReplyError,
  type ReplyOf,
  type Sender,
  type SendOptions,
  type StreamEntry,
} from "@unzombie/redis";
import { startRedis } from "../../support/redis_server.ts";

declare module "@unzombie/redis" {
  interface Replies<Bulk> {
    "TEST.GET": Bulk | null;
    "TEST.OBJECT SIZE": number;
  }
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends
  (<T>() => T extends B ? 1 : 2) ? true : false;

/** Compiles only where both types are the same. */
function same<A, B>(
  ..._differ: Same<A, B> extends true ? [] : [never]
): void {}

/** The type that a promise of `send` or `pipeline` resolves to: the function is never called. */
type Sent<F extends (...args: never[]) => Promise<unknown>> = Awaited<
  ReturnType<F>
>;

declare const redis: Redis;
declare const key: string;
declare const id: number;
declare const unknownOptions: SendOptions;
declare const isBinary: boolean;

Deno.test("A reply has the type of its command", () => {
  const get = () => redis.send(["GET", key]);
  same<Sent<typeof get>, string | null>();
  const incr = () => redis.send(["INCR", key]);
  same<Sent<typeof incr>, number | bigint>();
  const mget = () => redis.send(["MGET", key, "other"]);
  same<Sent<typeof mget>, (string | null)[]>();
  const scan = () => redis.send(["SCAN", 0, "MATCH", `${key}:*`]);
  same<Sent<typeof scan>, [string, string[]]>();
  const zadd = () => redis.send(["ZADD", `user:${id}`, id, "member"]);
  same<Sent<typeof zadd>, number | string | null>();
  const set = () => redis.send(["SET", key, new Uint8Array(2), "EX", 10n]);
  same<Sent<typeof set>, string | null>();
  const range = () => redis.send(["XRANGE", key, "-", "+"]);
  same<Sent<typeof range>, StreamEntry[]>();
  same<Sent<typeof range>, [string, string[]][]>();
  const exec = () => redis.send(["EXEC"]);
  same<Sent<typeof exec>, Reply[] | null>();
});

Deno.test("The name of a command may be in small letters, and the second word counts where there are subcommands", () => {
  same<ReplyOf<["get", string]>, string | null>();
  same<ReplyOf<["hGetAll", string]>, string[]>();
  same<ReplyOf<["CONFIG", "GET", string]>, string[]>();
  same<ReplyOf<["config", "set", string, string]>, "OK">();
  same<ReplyOf<["CLIENT", "ID"]>, number>();
  same<ReplyOf<["OBJECT", "ENCODING", string]>, string | null>();
  same<ReplyOf<["OBJECT", string, string]>, AnyReply>();
  same<ReplyOf<["XGROUP", "CREATE", string, string, string]>, "OK">();
});

Deno.test("Bulk strings have the type that the option binary gives them", () => {
  const bytes = () => redis.send(["GET", key], { binary: true });
  same<Sent<typeof bytes>, Uint8Array | null>();
  const text = () => redis.send(["GET", key], { binary: false, deadlineMs: 9 });
  same<Sent<typeof text>, string | null>();
  const either = () => redis.send(["GET", key], { binary: isBinary });
  same<Sent<typeof either>, string | Uint8Array | null>();
  const any = () => redis.send(["GET", key], unknownOptions);
  same<Sent<typeof any>, string | Uint8Array | null>();
  const other = () => redis.send(["GET", key], { deadlineMs: 9 });
  same<Sent<typeof other>, string | null>();
  const type = () => redis.send(["TYPE", key], { binary: true });
  same<Sent<typeof type>, string>();
  const many = () => redis.pipeline([["KEYS", key]], { binary: true });
  same<Sent<typeof many>, [Uint8Array[] | ReplyError]>();
  same<ReplyOf<["HGETALL", string], Uint8Array>, Uint8Array[]>();
});

Deno.test("A command that is not known has any reply but an error", () => {
  same<AnyReply, Exclude<Reply, ReplyError>>();
  const unknown = () => redis.send(["NO.SUCH", key]);
  same<Sent<typeof unknown>, AnyReply>();
  const script = () => redis.send(["EVAL", "return 1", 0]);
  same<Sent<typeof script>, AnyReply>();
  const words = () => redis.send(key.split(" "));
  same<Sent<typeof words>, AnyReply>();
  const named = () => redis.send([key, "a", 1]);
  same<Sent<typeof named>, AnyReply>();
  same<ReplyOf<Command>, AnyReply>();
  same<ReplyOf<string[]>, AnyReply>();
  same<ReplyOf<readonly [string, ...string[]]>, AnyReply>();
});

Deno.test("A command may be a constant, have a list of arguments, or be one of several", () => {
  const constant = ["LLEN", "list"] as const;
  const llen = () => redis.send(constant);
  same<Sent<typeof llen>, number>();
  const keys = ["a", "b"];
  const del = () => redis.send(["DEL", ...keys]);
  same<Sent<typeof del>, number>();
  const one = () => redis.send(isBinary ? ["GET", key] : ["LLEN", key]);
  same<Sent<typeof one>, string | number | null>();
  const name = "GET" as "GET" | "STRLEN";
  const either = () => redis.send([name, key]);
  same<Sent<typeof either>, string | number | null>();
  const mine = <const C extends Command>(command: C): Promise<ReplyOf<C>> =>
    redis.send(command);
  const generic = () => mine(["TTL", key]);
  same<Sent<typeof generic>, number>();
});

Deno.test("A pipeline has a reply or an error for each command", () => {
  const two = () => redis.pipeline([["SET", key, 1], ["GET", key]]);
  same<
    Sent<typeof two>,
    [string | null | ReplyError, string | null | ReplyError]
  >();
  same<
    RepliesOf<[["LLEN", string], ["KEYS", string]]>,
    [number | ReplyError, string[] | ReplyError]
  >();
  const none = () => redis.pipeline([]);
  same<Sent<typeof none>, []>();
  const commands: Command[] = [];
  const dynamic = () => redis.pipeline(commands);
  same<Sent<typeof dynamic>, Reply[]>();
  const words: string[][] = [];
  const strings = () => redis.pipeline(words);
  same<Sent<typeof strings>, Reply[]>();
  const some = () => redis.pipeline([["LLEN", key], ...commands]);
  same<Sent<typeof some>, [number | ReplyError, ...Reply[]]>();
  const mapped = () =>
    redis.pipeline(["a", "b"].map((key) => ["GET", key] as const));
  same<Sent<typeof mapped>, (string | null | ReplyError)[]>();
});

Deno.test("A lease sends with the same types", async () => {
  const send = async () => await (await redis.lease()).send(["GET", key]);
  same<Sent<typeof send>, string | null>();
  const bytes = async () =>
    await (await redis.lease()).send(["GET", key], { binary: true });
  same<Sent<typeof bytes>, Uint8Array | null>();
  await using server = await startRedis();
  await using client = new Redis(server.url);
  await using lease = await client.lease();
  const pong: string = await lease.send(["PING"]);
  assertEquals(pong, "PONG");
});

Deno.test("A client is a Sender, and so is what sends any command", async () => {
  const sender: Sender = {
    send: (command) => Promise.resolve(command.length),
    pipeline: (commands) => Promise.resolve(commands.map(() => "OK")),
    origin: { hostname: "localhost", port: 6379, database: 0 },
    isClosed: false,
  };
  const senders: readonly Sender[] = [sender, new Redis()];
  assertEquals(await senders[0]!.send(["GET", "key"]), 2);
});

Deno.test("A module adds the replies of its commands", () => {
  const own = () => redis.send(["test.get", key], { binary: true });
  same<Sent<typeof own>, Uint8Array | null>();
  same<ReplyOf<["TEST.OBJECT", "SIZE", string]>, number>();
  same<ReplyOf<["GET", string]>, string | null>();
});

Deno.test("Any name is the name of a command, and what cannot be sent does not compile", () => {
  const names: readonly CommandName[] = ["GET", "get", "TEST.GET", "NO.SUCH"];
  assertEquals(names.length, 4);
  const wrong = [
    // @ts-expect-error: no argument is a boolean
    () => redis.send(["SET", key, true]),
    // @ts-expect-error: an argument may be missing
    () => redis.send(["SET", key, undefined]),
    // @ts-expect-error: not an array
    () => redis.send("GET key"),
    // @ts-expect-error: the name is a string
    () => redis.send([1, key]),
    // @ts-expect-error: no such option
    () => redis.send(["GET", key], { binray: true }),
    // @ts-expect-error: a command, not commands
    () => redis.pipeline(["GET", key]),
    // @ts-expect-error: null may come
    async (): Promise<string> => await redis.send(["GET", key]),
    // @ts-expect-error: an error may come
    async (): Promise<[number]> => await redis.pipeline([["LLEN", key]]),
  ];
  assertEquals(wrong.length, 8);
});
