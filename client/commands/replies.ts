// What the server answers to each command, as types alone: nothing of this file exists at run time.
import type { ReplyError } from "../../resp/errors.ts";
import type { CommandArgument, Reply } from "../../resp/types.ts";

/** An entry of a stream: its id, and its fields and values in turn. */
export type StreamEntry<Bulk = string> = [id: Bulk, fields: Bulk[]];

/** An entry of a geospatial search: a member, or a member with its distance, hash and position. */
export type GeoMember<Bulk = string> = Bulk | [
  member: Bulk,
  ...details: (Bulk | number | [longitude: Bulk, latitude: Bulk])[],
];

/** The replies of the commands that Redis 7 and 8 and Valkey have without modules. */
export type BuiltInReplies<Bulk = string> = {
  // Strings
  APPEND: number;
  BITCOUNT: number;
  BITFIELD: (number | bigint | null)[];
  BITFIELD_RO: (number | bigint)[];
  BITOP: number;
  BITPOS: number;
  DECR: number | bigint;
  DECRBY: number | bigint;
  DELEX: number;
  DELIFEQ: number;
  DIGEST: Bulk | null;
  GET: Bulk | null;
  GETBIT: number;
  GETDEL: Bulk | null;
  GETEX: Bulk | null;
  GETRANGE: Bulk;
  GETSET: Bulk | null;
  INCR: number | bigint;
  INCRBY: number | bigint;
  INCRBYFLOAT: Bulk;
  LCS: Bulk | number | [
    matches: Bulk,
    ranges: [
      a: [from: number, to: number],
      b: [from: number, to: number],
      ...length: number[],
    ][],
    len: Bulk,
    length: number,
  ];
  MGET: (Bulk | null)[];
  MSET: "OK";
  MSETEX: number;
  MSETNX: number;
  PSETEX: "OK";
  SET: "OK" | Bulk | null;
  SETBIT: number;
  SETEX: "OK";
  SETNX: number;
  SETRANGE: number;
  STRLEN: number;
  SUBSTR: Bulk;
  // Keys
  COPY: number;
  DEL: number;
  DUMP: Bulk | null;
  EXISTS: number;
  EXPIRE: number;
  EXPIREAT: number;
  EXPIRETIME: number;
  KEYS: Bulk[];
  MIGRATE: "OK" | "NOKEY";
  MOVE: number;
  PERSIST: number;
  PEXPIRE: number;
  PEXPIREAT: number;
  PEXPIRETIME: number;
  PTTL: number;
  RANDOMKEY: Bulk | null;
  RENAME: "OK";
  RENAMENX: number;
  RESTORE: "OK";
  SCAN: [cursor: Bulk, keys: Bulk[]];
  SORT: (Bulk | null)[] | number;
  SORT_RO: (Bulk | null)[];
  TOUCH: number;
  TTL: number;
  TYPE: string;
  UNLINK: number;
  WAIT: number;
  WAITAOF: [local: number, replicas: number];
  // Hashes
  HDEL: number;
  HEXISTS: number;
  HEXPIRE: number[];
  HEXPIREAT: number[];
  HEXPIRETIME: number[];
  HGET: Bulk | null;
  HGETALL: Bulk[];
  HGETDEL: (Bulk | null)[];
  HGETEX: (Bulk | null)[];
  HINCRBY: number | bigint;
  HINCRBYFLOAT: Bulk;
  HKEYS: Bulk[];
  HLEN: number;
  HMGET: (Bulk | null)[];
  HMSET: "OK";
  HPERSIST: number[];
  HPEXPIRE: number[];
  HPEXPIREAT: number[];
  HPEXPIRETIME: number[];
  HPTTL: number[];
  HRANDFIELD: Bulk | Bulk[] | null;
  HSCAN: [cursor: Bulk, pairs: Bulk[]];
  HSET: number;
  HSETEX: number;
  HSETNX: number;
  HSTRLEN: number;
  HTTL: number[];
  HVALS: Bulk[];
  // Lists
  BLMOVE: Bulk | null;
  BLMPOP: [key: Bulk, elements: Bulk[]] | null;
  BLPOP: [key: Bulk, element: Bulk] | null;
  BRPOP: [key: Bulk, element: Bulk] | null;
  BRPOPLPUSH: Bulk | null;
  LINDEX: Bulk | null;
  LINSERT: number;
  LLEN: number;
  LMOVE: Bulk | null;
  LMPOP: [key: Bulk, elements: Bulk[]] | null;
  LPOP: Bulk | Bulk[] | null;
  LPOS: number | number[] | null;
  LPUSH: number;
  LPUSHX: number;
  LRANGE: Bulk[];
  LREM: number;
  LSET: "OK";
  LTRIM: "OK";
  RPOP: Bulk | Bulk[] | null;
  RPOPLPUSH: Bulk | null;
  RPUSH: number;
  RPUSHX: number;
  // Sets
  SADD: number;
  SCARD: number;
  SDIFF: Bulk[];
  SDIFFSTORE: number;
  SINTER: Bulk[];
  SINTERCARD: number;
  SINTERSTORE: number;
  SISMEMBER: number;
  SMEMBERS: Bulk[];
  SMISMEMBER: number[];
  SMOVE: number;
  SPOP: Bulk | Bulk[] | null;
  SRANDMEMBER: Bulk | Bulk[] | null;
  SREM: number;
  SSCAN: [cursor: Bulk, members: Bulk[]];
  SUNION: Bulk[];
  SUNIONSTORE: number;
  // Sorted sets
  BZMPOP: [key: Bulk, members: [member: Bulk, score: Bulk][]] | null;
  BZPOPMAX: [key: Bulk, member: Bulk, score: Bulk] | null;
  BZPOPMIN: [key: Bulk, member: Bulk, score: Bulk] | null;
  ZADD: number | Bulk | null;
  ZCARD: number;
  ZCOUNT: number;
  ZDIFF: Bulk[];
  ZDIFFSTORE: number;
  ZINCRBY: Bulk;
  ZINTER: Bulk[];
  ZINTERCARD: number;
  ZINTERSTORE: number;
  ZLEXCOUNT: number;
  ZMPOP: [key: Bulk, members: [member: Bulk, score: Bulk][]] | null;
  ZMSCORE: (Bulk | null)[];
  ZPOPMAX: Bulk[];
  ZPOPMIN: Bulk[];
  ZRANDMEMBER: Bulk | Bulk[] | null;
  ZRANGE: Bulk[];
  ZRANGEBYLEX: Bulk[];
  ZRANGEBYSCORE: Bulk[];
  ZRANGESTORE: number;
  ZRANK: number | [rank: number, score: Bulk] | null;
  ZREM: number;
  ZREMRANGEBYLEX: number;
  ZREMRANGEBYRANK: number;
  ZREMRANGEBYSCORE: number;
  ZREVRANGE: Bulk[];
  ZREVRANGEBYLEX: Bulk[];
  ZREVRANGEBYSCORE: Bulk[];
  ZREVRANK: number | [rank: number, score: Bulk] | null;
  ZSCAN: [cursor: Bulk, pairs: Bulk[]];
  ZSCORE: Bulk | null;
  ZUNION: Bulk[];
  ZUNIONSTORE: number;
  // Streams
  XACK: number;
  XACKDEL: number[];
  XADD: Bulk | null;
  XAUTOCLAIM: [next: Bulk, entries: StreamEntry<Bulk>[], deleted: Bulk[]] | [
    next: Bulk,
    ids: Bulk[],
    deleted: Bulk[],
  ];
  XCFGSET: "OK";
  XCLAIM: StreamEntry<Bulk>[] | Bulk[];
  XDEL: number;
  XDELEX: number[];
  "XGROUP CREATE": "OK";
  "XGROUP CREATECONSUMER": number;
  "XGROUP DELCONSUMER": number;
  "XGROUP DESTROY": number;
  "XGROUP SETID": "OK";
  "XINFO CONSUMERS": (Bulk | number)[][];
  "XINFO GROUPS": (Bulk | number | null)[][];
  "XINFO STREAM": AnyReply[];
  XLEN: number;
  XPENDING: [
    count: number,
    least: Bulk | null,
    greatest: Bulk | null,
    consumers: [name: Bulk, count: Bulk][] | null,
  ] | [id: Bulk, consumer: Bulk, idleMs: number, deliveries: number][];
  XRANGE: StreamEntry<Bulk>[];
  XREAD: [stream: Bulk, entries: StreamEntry<Bulk>[]][] | null;
  XREADGROUP:
    | [stream: Bulk, entries: [id: Bulk, fields: Bulk[] | null][]][]
    | null;
  XREVRANGE: StreamEntry<Bulk>[];
  XSETID: "OK";
  XTRIM: number;
  // Geo and HyperLogLog
  GEOADD: number;
  GEODIST: Bulk | null;
  GEOHASH: (Bulk | null)[];
  GEOPOS: ([longitude: Bulk, latitude: Bulk] | null)[];
  GEORADIUS: GeoMember<Bulk>[] | number;
  GEORADIUSBYMEMBER: GeoMember<Bulk>[] | number;
  GEORADIUSBYMEMBER_RO: GeoMember<Bulk>[];
  GEORADIUS_RO: GeoMember<Bulk>[];
  GEOSEARCH: GeoMember<Bulk>[];
  GEOSEARCHSTORE: number;
  PFADD: number;
  PFCOUNT: number;
  PFMERGE: "OK";
  // Vector sets
  VADD: number;
  VCARD: number;
  VDIM: number;
  VEMB:
    | Bulk[]
    | [quantization: string, raw: Bulk, norm: Bulk, range?: Bulk]
    | null;
  VGETATTR: Bulk | null;
  VINFO: (string | number)[] | null;
  VISMEMBER: number;
  VLINKS: Bulk[][] | null;
  VRANDMEMBER: Bulk | Bulk[] | null;
  VRANGE: Bulk[];
  VREM: number;
  VSETATTR: number;
  VSIM: Bulk[];
  // Scripts, messages, transactions
  DISCARD: "OK";
  EVAL: AnyReply;
  EVALSHA: AnyReply;
  EVALSHA_RO: AnyReply;
  EVAL_RO: AnyReply;
  EXEC: Reply[] | null;
  FCALL: AnyReply;
  FCALL_RO: AnyReply;
  "FUNCTION DELETE": "OK";
  "FUNCTION DUMP": Bulk;
  "FUNCTION FLUSH": "OK";
  "FUNCTION KILL": "OK";
  "FUNCTION LIST": AnyReply[][];
  "FUNCTION LOAD": Bulk;
  "FUNCTION RESTORE": "OK";
  "FUNCTION STATS": AnyReply[];
  MULTI: "OK";
  PUBLISH: number;
  "PUBSUB CHANNELS": Bulk[];
  "PUBSUB NUMPAT": number;
  "PUBSUB NUMSUB": (Bulk | number)[];
  "PUBSUB SHARDCHANNELS": Bulk[];
  "PUBSUB SHARDNUMSUB": (Bulk | number)[];
  "SCRIPT EXISTS": number[];
  "SCRIPT FLUSH": "OK";
  "SCRIPT KILL": "OK";
  "SCRIPT LOAD": Bulk;
  "SCRIPT SHOW": Bulk;
  SPUBLISH: number;
  UNWATCH: "OK";
  WATCH: "OK";
  // Connections and servers
  "ACL CAT": Bulk[];
  "ACL DELUSER": number;
  "ACL DRYRUN": "OK" | Bulk;
  "ACL GENPASS": Bulk;
  "ACL GETUSER": AnyReply[] | null;
  "ACL LIST": Bulk[];
  "ACL LOAD": "OK";
  "ACL LOG": (Bulk | number)[][] | "OK";
  "ACL SAVE": "OK";
  "ACL SETUSER": "OK";
  "ACL USERS": Bulk[];
  "ACL WHOAMI": Bulk;
  ASKING: "OK";
  AUTH: "OK";
  BGREWRITEAOF: string;
  BGSAVE: string;
  "CLIENT CACHING": "OK";
  "CLIENT CAPA": "OK";
  "CLIENT GETNAME": Bulk | null;
  "CLIENT GETREDIR": number;
  "CLIENT ID": number;
  "CLIENT IMPORT-SOURCE": "OK";
  "CLIENT INFO": Bulk;
  "CLIENT KILL": "OK" | number;
  "CLIENT LIST": Bulk;
  "CLIENT NO-EVICT": "OK";
  "CLIENT NO-TOUCH": "OK";
  "CLIENT PAUSE": "OK";
  "CLIENT REPLY": "OK" | null;
  "CLIENT SETINFO": "OK";
  "CLIENT SETNAME": "OK";
  "CLIENT TRACKING": "OK";
  "CLIENT TRACKINGINFO": [
    flags: Bulk,
    Bulk[],
    redirect: Bulk,
    number,
    prefixes: Bulk,
    Bulk[],
  ];
  "CLIENT UNBLOCK": number;
  "CLIENT UNPAUSE": "OK";
  "CLUSTER COUNT-FAILURE-REPORTS": number;
  "CLUSTER COUNTKEYSINSLOT": number;
  "CLUSTER GETKEYSINSLOT": Bulk[];
  "CLUSTER INFO": Bulk;
  "CLUSTER KEYSLOT": number;
  "CLUSTER LINKS": (Bulk | number)[][];
  "CLUSTER MYID": Bulk;
  "CLUSTER MYSHARDID": Bulk;
  "CLUSTER NODES": Bulk;
  "CLUSTER REPLICAS": Bulk[];
  "CLUSTER SHARDS": AnyReply[][];
  "CLUSTER SLOT-STATS": [slot: number, statistics: (Bulk | number)[]][];
  "CLUSTER SLOTS": [
    from: number,
    to: number,
    ...nodes: [host: Bulk | null, port: number, id: Bulk, metadata: Bulk[]][],
  ][];
  COMMAND: AnyReply[];
  CLUSTERSCAN: [cursor: Bulk, keys: Bulk[]];
  "COMMAND COUNT": number;
  "COMMAND DOCS": AnyReply[];
  "COMMAND GETKEYS": Bulk[];
  "COMMAND GETKEYSANDFLAGS": [key: Bulk, flags: string[]][];
  "COMMAND INFO": AnyReply[];
  "COMMAND LIST": Bulk[];
  "COMMANDLOG GET": [
    id: number,
    time: number,
    amount: number,
    args: Bulk[],
    client: Bulk,
    name: Bulk,
  ][];
  "COMMANDLOG LEN": number;
  "COMMANDLOG RESET": "OK";
  "CONFIG GET": Bulk[];
  "CONFIG RESETSTAT": "OK";
  "CONFIG REWRITE": "OK";
  "CONFIG SET": "OK";
  DBSIZE: number;
  ECHO: Bulk;
  FLUSHALL: "OK";
  FLUSHDB: "OK";
  INFO: Bulk;
  LASTSAVE: number;
  "LATENCY DOCTOR": Bulk;
  "LATENCY GRAPH": Bulk;
  "LATENCY HISTOGRAM": AnyReply[];
  "LATENCY HISTORY": [time: number, ms: number][];
  "LATENCY LATEST": [
    event: Bulk,
    time: number,
    latestMs: number,
    maxMs: number,
    ...more: number[],
  ][];
  "LATENCY RESET": number;
  LOLWUT: Bulk;
  "MEMORY DOCTOR": Bulk;
  "MEMORY MALLOC-STATS": Bulk;
  "MEMORY PURGE": "OK";
  "MEMORY STATS": AnyReply[];
  "MEMORY USAGE": number | null;
  "MODULE LIST": AnyReply[];
  "OBJECT ENCODING": Bulk | null;
  "OBJECT FREQ": number | null;
  "OBJECT IDLETIME": number | null;
  "OBJECT REFCOUNT": number | null;
  PING: "PONG" | Bulk;
  READONLY: "OK";
  READWRITE: "OK";
  REPLICAOF: "OK";
  RESET: "RESET";
  ROLE: [
    role: Bulk,
    offset: number,
    replicas: [host: Bulk, port: Bulk, offset: Bulk][],
  ] | [role: Bulk, host: Bulk, port: number, state: Bulk, offset: number];
  SAVE: "OK";
  SELECT: "OK";
  SLAVEOF: "OK";
  "SLOWLOG GET": [
    id: number,
    time: number,
    microseconds: number,
    args: Bulk[],
    client: Bulk,
    name: Bulk,
  ][];
  "SLOWLOG LEN": number;
  "SLOWLOG RESET": "OK";
  SWAPDB: "OK";
  TIME: [seconds: Bulk, microseconds: Bulk];
};

/**
 * The reply of each command, by its name in capitals, or by its first two words
 * where subcommands answer differently. `Bulk` is what a bulk string becomes:
 * `string`, or `Uint8Array` with the option `binary`. Where an option changes
 * the reply, such as `SET … GET`, the type is the union of what may come.
 *
 * The interface is open: a service may declare the commands of a server module,
 * or of its own functions, and `send` gives their replies these types. A package
 * on JSR cannot: JSR publishes no `declare module`.
 *
 * @example The commands of a server module
 * ```ts ignore
 * import { Redis } from "@unzombie/redis";
 *
 * declare module "@unzombie/redis" {
 *   interface Replies<Bulk> {
 *     "JSON.GET": Bulk | null;
 *     "FT.DROPINDEX": "OK";
 *   }
 * }
 *
 * await using redis = new Redis();
 * const json: string | null = await redis.send(["JSON.GET", "key"]);
 * ```
 */
export interface Replies<Bulk = string> extends BuiltInReplies<Bulk> {}

/** What `send` may resolve to where nothing is known of the command. */
export type AnyReply = Exclude<Reply, ReplyError>;

/** The first words of the names of {@linkcode Replies}. */
export type KnownName<Name = keyof Replies> = Name extends
  `${infer First} ${string}` ? First : Name & string;

/** The name of a command, completed by editors; any other text is allowed, too. */
export type CommandName =
  | KnownName
  | Lowercase<KnownName>
  | (string & Record<never, never>);

/**
 * What may be sent: a command, or any array of strings. Parameters are declared
 * as `C | AnyCommand` where `C` is inferred: from `C` alone editors would
 * complete no names.
 */
export type AnyCommand =
  | readonly [name: CommandName, ...args: CommandArgument[]]
  | readonly CommandName[];

/** The name of a command in {@linkcode Replies}: its first word, or its first two. */
export type NameOf<C extends readonly unknown[]> = C extends readonly [
  infer Name extends string,
  infer Subcommand extends string,
  ...unknown[],
]
  ? `${Uppercase<Name>} ${Uppercase<Subcommand>}` extends keyof Replies
    ? `${Uppercase<Name>} ${Uppercase<Subcommand>}`
  : Uppercase<Name>
  : C extends readonly [infer Name extends string, ...unknown[]]
    ? Uppercase<Name>
  : string;

/**
 * The reply of a command: that of {@linkcode Replies}, or any reply but an error
 * where the command is not known, or its name is not a literal.
 *
 * @example Replies as types
 * ```ts
 * import type { AnyReply, Command, ReplyOf } from "@unzombie/redis";
 * import { assertEquals } from "@std/assert";
 *
 * const text: ReplyOf<["GET", string]> = null; // string | null
 * const bytes: ReplyOf<["get", string], Uint8Array> = new Uint8Array(1);
 * const config: ReplyOf<["CONFIG", "GET", string]> = ["timeout", "0"];
 * const any: AnyReply = 1 satisfies ReplyOf<Command>;
 * assertEquals([text, bytes?.length, config.length, any], [null, 1, 2, 1]);
 * ```
 */
export type ReplyOf<C extends readonly unknown[], Bulk = string> =
  NameOf<C> extends keyof Replies<Bulk> ? Replies<Bulk>[NameOf<C>] : AnyReply;

/** The replies of a pipeline, in order, as a tuple where the commands are one; each may be an error. */
export type RepliesOf<
  Cs extends readonly (readonly unknown[])[],
  Bulk = string,
> = {
  -readonly [I in keyof Cs]: ReplyOf<Cs[I], Bulk> | ReplyError;
};

/** What a bulk string becomes, by the option `binary`. */
export type BulkOf<Binary extends boolean> = Binary extends true ? Uint8Array
  : string;
