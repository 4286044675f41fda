// One command or more for each row of the map of replies, with what must be there before it.

/**
 * A line is commands, separated by semicolons. The reply to the last one is
 * checked against its row. Each line begins with an empty database and a new
 * connection. A word may be quoted, with `\n` for the end of a line.
 *
 * - `@` sends a command on another connection, which stays open.
 * - `&` does so, too, and does not wait for its reply.
 * - `-` says that a command is answered with an error.
 * - `?` before a line says that an older server may refuse its last command.
 * - `cluster:` before a line sends it to the primary of a cluster, which has a replica.
 * - `%` stands for the previous reply, `%port` for the port of that primary, and
 *   `%addr` for the address in the previous reply.
 */
export const CHECKS = String.raw`
APPEND k a
SETBIT k 1 1; BITCOUNT k
BITFIELD k SET u8 0 200 GET u8 0
BITFIELD k SET i64 0 9223372036854775807 GET i64 0
BITFIELD k OVERFLOW FAIL INCRBY u2 0 9
SET k abcdefgh; BITFIELD_RO k GET u8 0
SET k abcdefgh; BITFIELD_RO k GET i64 0
SET k a; BITOP NOT n k
SET k a; BITPOS k 1
DECR k
SET k -9007199254740999; DECR k
DECRBY k 2
SET k -9007199254740999; DECRBY k 2
SET k v; DELEX k IFEQ v
SET k v; DELIFEQ k v
DIGEST k
SET k v; DIGEST k
GET k
SET k v; GET k
SET k v; GETBIT k 0
GETDEL k
SET k v; GETDEL k
GETEX k
SET k v; GETEX k EX 100
GETRANGE k 0 -1
SET k v; GETRANGE k 0 -1
GETSET k v
SET k v; GETSET k w
INCR k
SET k 9007199254740999; INCR k
INCRBY k 2
SET k 9007199254740999; INCRBY k 2
INCRBYFLOAT k 0.5
MSET a ohmytext b mynewtext; LCS a b
MSET a ohmytext b mynewtext; LCS a b LEN
MSET a ohmytext b mynewtext; LCS a b IDX
MSET a ohmytext b mynewtext; LCS a b IDX WITHMATCHLEN
SET k v; MGET k n
MSET k v l w
MSETEX 1 k v EX 100
MSETNX k v l w
PSETEX k 1000 v
SET k v
SET k v NX GET
SET k v; SET k w GET
SET k v; SET k w NX
SETBIT k 1 1
SETEX k 100 v
SETNX k v
SETRANGE k 2 v
STRLEN k
SUBSTR k 0 -1

SET k v; COPY k l
SET k v; DEL k
DUMP k
SET k v; DUMP k
EXISTS k
EXPIRE k 1
EXPIREAT k 1
EXPIRETIME k
KEYS *
SET k v; KEYS *
MIGRATE 127.0.0.1 %port k 0 5000 REPLACE
SET k v; MIGRATE 127.0.0.1 %port k 0 5000 REPLACE
SET k v; MOVE k 1
PERSIST k
PEXPIRE k 1
PEXPIREAT k 1
PEXPIRETIME k
PTTL k
RANDOMKEY
SET k v; RANDOMKEY
SET k v; RENAME k l
SET k v; RENAMENX k l
SET k v; DUMP k; RESTORE l 0 %
SCAN 0
SET k v; SCAN 0
RPUSH l 1 2; SET w_1 v; SORT l BY nosort GET w_*
RPUSH l 1 2; SORT l STORE m
RPUSH l 1 2; SET w_1 v; SORT_RO l BY nosort GET w_*
TOUCH k
TTL k
SET k v EX 100; TTL k
TYPE k
HSET h f v; TYPE h
UNLINK k
WAIT 0 0
WAITAOF 0 0 0

HDEL h f
HEXISTS h f
HSET h f v; HEXPIRE h 100 FIELDS 2 f g
HEXPIRE h 100 FIELDS 1 f
HSET h f v; HEXPIREAT h 4000000000 FIELDS 2 f g
HSET h f v; HEXPIRETIME h FIELDS 2 f g
HEXPIRETIME h FIELDS 1 f
HGET h f
HSET h f v; HGET h f
HGETALL h
HSET h f v; HGETALL h
HSET h f v; HGETDEL h FIELDS 2 f g
HGETDEL h FIELDS 1 f
HSET h f v; HGETEX h FIELDS 2 f g
HGETEX h EX 100 FIELDS 1 f
HINCRBY h f 1
HINCRBY h f 9007199254740999
HINCRBYFLOAT h f 0.5
HSET h f v; HKEYS h
HLEN h
HSET h f v; HMGET h f g
HMSET h f v
HSET h f v; HPERSIST h FIELDS 2 f g
HPERSIST h FIELDS 1 f
HSET h f v; HPEXPIRE h 10000 FIELDS 2 f g
HSET h f v; HPEXPIREAT h 4000000000000 FIELDS 2 f g
HSET h f v; HPEXPIRETIME h FIELDS 2 f g
HSET h f v; HPTTL h FIELDS 2 f g
HRANDFIELD h
HRANDFIELD h 1
HSET h f v; HRANDFIELD h
HSET h f v; HRANDFIELD h 1 WITHVALUES
HSCAN h 0
HSET h f v; HSCAN h 0
?HSET h f v; HSCAN h 0 NOVALUES
HSET h f v
HSETEX h EX 100 FIELDS 1 f v
HSETNX h f v
HSTRLEN h f
HSET h f v; HTTL h FIELDS 2 f g
HTTL h FIELDS 1 f
HSET h f v; HVALS h

BLMOVE l m LEFT LEFT 0.01
RPUSH l v; BLMOVE l m LEFT LEFT 0.01
BLMPOP 0.01 1 l LEFT
RPUSH l v; BLMPOP 0.01 1 l LEFT
BLPOP l 0.01
RPUSH l v; BLPOP l 0.01
BRPOP l 0.01
RPUSH l v; BRPOP l 0.01
BRPOPLPUSH l m 0.01
RPUSH l v; BRPOPLPUSH l m 0.01
LINDEX l 0
RPUSH l v; LINDEX l 0
LINSERT l BEFORE v w
LLEN l
LMOVE l m LEFT LEFT
RPUSH l v; LMOVE l m LEFT LEFT
LMPOP 1 l LEFT
RPUSH l v w; LMPOP 1 l LEFT COUNT 2
LPOP l
RPUSH l v; LPOP l
LPOP l 2
RPUSH l v; LPOP l 2
LPOS l v
RPUSH l v; LPOS l v
LPOS l v COUNT 0
RPUSH l v; LPOS l v COUNT 0
LPUSH l v
LPUSHX l v
LRANGE l 0 -1
RPUSH l v; LRANGE l 0 -1
LREM l 0 v
RPUSH l v; LSET l 0 w
LTRIM l 0 -1
RPOP l
RPUSH l v; RPOP l
RPOP l 2
RPUSH l v; RPOP l 2
RPOPLPUSH l m
RPUSH l v; RPOPLPUSH l m
RPUSH l v
RPUSHX l v

SADD s a
SCARD s
SADD s a; SDIFF s
SDIFFSTORE t s
SADD s a; SINTER s
SINTERCARD 1 s
SINTERSTORE t s
SISMEMBER s a
SMEMBERS s
SADD s a; SMEMBERS s
SADD s a; SMISMEMBER s a b
SMOVE s t a
SPOP s
SADD s a; SPOP s
SPOP s 1
SADD s a; SPOP s 1
SRANDMEMBER s
SADD s a; SRANDMEMBER s
SADD s a; SRANDMEMBER s 1
SREM s a
SADD s a; SSCAN s 0
SADD s a; SUNION s
SUNIONSTORE t s

BZMPOP 0.01 1 z MIN
ZADD z 1.5 a; BZMPOP 0.01 1 z MIN
BZPOPMAX z 0.01
ZADD z 1.5 a; BZPOPMAX z 0.01
BZPOPMIN z 0.01
ZADD z 1.5 a; BZPOPMIN z 0.01
ZADD z 1 a
ZADD z INCR 1 a
ZADD z XX INCR 1 a
ZCARD z
ZCOUNT z -inf +inf
ZADD z 1 a; ZDIFF 1 z
ZADD z 1 a; ZDIFF 1 z WITHSCORES
ZDIFFSTORE y 1 z
ZINCRBY z 1 a
ZADD z 1 a; ZINTER 1 z
ZADD z 1 a; ZINTER 1 z WITHSCORES
ZINTERCARD 1 z
ZINTERSTORE y 1 z
ZLEXCOUNT z - +
ZMPOP 1 z MIN
ZADD z 1 a; ZMPOP 1 z MIN
ZADD z 1 a; ZMSCORE z a b
ZADD z 1 a; ZPOPMAX z
ZADD z 1 a 2 b; ZPOPMAX z 2
ZADD z 1 a; ZPOPMIN z
ZRANDMEMBER z
ZADD z 1 a; ZRANDMEMBER z
ZADD z 1 a; ZRANDMEMBER z 1 WITHSCORES
ZADD z 1 a; ZRANGE z 0 -1
ZADD z inf a; ZRANGE z 0 -1 WITHSCORES
ZADD z 1 a; ZRANGEBYLEX z - +
ZADD z 1 a; ZRANGEBYSCORE z -inf +inf
ZADD z 1 a; ZRANGEBYSCORE z -inf +inf WITHSCORES
ZRANGESTORE y z 0 -1
ZRANK z a
ZADD z 1 a; ZRANK z a
?ZADD z 1 a; ZRANK z a WITHSCORE
ZREM z a
ZREMRANGEBYLEX z - +
ZREMRANGEBYRANK z 0 -1
ZREMRANGEBYSCORE z -inf +inf
ZADD z 1 a; ZREVRANGE z 0 -1
ZADD z 1 a; ZREVRANGE z 0 -1 WITHSCORES
ZADD z 1 a; ZREVRANGEBYLEX z + -
ZADD z 1 a; ZREVRANGEBYSCORE z +inf -inf WITHSCORES
ZREVRANK z a
ZADD z 1 a; ZREVRANK z a
?ZADD z 1 a; ZREVRANK z a WITHSCORE
ZADD z 1 a; ZSCAN z 0
ZSCORE z a
ZADD z 1.5 a; ZSCORE z a
ZADD z 1 a; ZUNION 1 z
ZADD z 1 a; ZUNION 1 z WITHSCORES
ZUNIONSTORE y 1 z

XADD x 1 f v; XGROUP CREATE x g 0; XACK x g 1
XADD x 1 f v; XGROUP CREATE x g 0; XACKDEL x g IDS 1 1
XADD x * f v
XADD x NOMKSTREAM * f v
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XAUTOCLAIM x g d 0 0
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XAUTOCLAIM x g d 0 0 JUSTID
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XDEL x 1; XAUTOCLAIM x g d 0 0
XADD x 1 f v; XADD x 2 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XDEL x 1; XAUTOCLAIM x g d 0 0
XADD x 1 f v; XADD x 2 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XDEL x 1; XAUTOCLAIM x g d 0 0 JUSTID
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XCLAIM x g d 0 1
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XDEL x 1; XCLAIM x g d 0 1
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XCLAIM x g d 0 1 JUSTID
XADD x 1 f v; XCFGSET x IDMP-DURATION 100
XDEL x 1
XADD x 1 f v; XDELEX x IDS 1 1
XGROUP CREATE x g $ MKSTREAM
XGROUP CREATE x g $ MKSTREAM; XGROUP CREATECONSUMER x g c
XGROUP CREATE x g $ MKSTREAM; XGROUP DELCONSUMER x g c
XGROUP CREATE x g $ MKSTREAM; XGROUP DESTROY x g
XGROUP CREATE x g $ MKSTREAM; XGROUP SETID x g 0
XGROUP CREATE x g $ MKSTREAM; XGROUP CREATECONSUMER x g c; XINFO CONSUMERS x g
XGROUP CREATE x g $ MKSTREAM; XINFO GROUPS x
XADD x 1 f v; XADD x 2 f v; XDEL x 1; XGROUP CREATE x g 1; XINFO GROUPS x
XADD x 1 f v; XINFO STREAM x
XADD x 1 f v; XINFO STREAM x FULL
XLEN x
XGROUP CREATE x g $ MKSTREAM; XPENDING x g
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XPENDING x g
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XPENDING x g - + 9
XADD x 1 f v; XRANGE x - +
XREAD STREAMS x 0
XADD x 1 f v; XREAD STREAMS x 0
XREAD BLOCK 1 STREAMS x $
XGROUP CREATE x g $ MKSTREAM; XREADGROUP GROUP g c STREAMS x >
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >
XADD x 1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >; XDEL x 1; XREADGROUP GROUP g c STREAMS x 0
XADD x 1 f v; XREVRANGE x + -
XADD x 1 f v; XSETID x 5-0
XTRIM x MAXLEN 5

GEOADD g 13 38 a
GEODIST g a b
GEOADD g 13 38 a 14 38 b; GEODIST g a b
GEOADD g 13 38 a; GEOHASH g a b
GEOADD g 13 38 a; GEOPOS g a b
GEOADD g 13 38 a; GEORADIUS g 13 38 9 km
GEOADD g 13 38 a; GEORADIUS g 13 38 9 km WITHCOORD WITHDIST WITHHASH
GEOADD g 13 38 a; GEORADIUS g 13 38 9 km STORE h
GEOADD g 13 38 a; GEORADIUSBYMEMBER g a 9 km
GEOADD g 13 38 a; GEORADIUSBYMEMBER g a 9 km WITHCOORD WITHDIST WITHHASH
GEOADD g 13 38 a; GEORADIUSBYMEMBER g a 9 km STORE h
GEOADD g 13 38 a; GEORADIUSBYMEMBER_RO g a 9 km
GEOADD g 13 38 a; GEORADIUSBYMEMBER_RO g a 9 km WITHCOORD WITHDIST WITHHASH
GEOADD g 13 38 a; GEORADIUS_RO g 13 38 9 km
GEOADD g 13 38 a; GEORADIUS_RO g 13 38 9 km WITHCOORD WITHDIST WITHHASH
GEOSEARCH g FROMLONLAT 13 38 BYRADIUS 9 km
GEOADD g 13 38 a; GEOSEARCH g FROMMEMBER a BYRADIUS 9 km
GEOADD g 13 38 a; GEOSEARCH g FROMMEMBER a BYRADIUS 9 km WITHDIST
GEOADD g 13 38 a; GEOSEARCH g FROMMEMBER a BYRADIUS 9 km WITHCOORD WITHDIST WITHHASH
GEOSEARCHSTORE h g FROMLONLAT 13 38 BYRADIUS 9 km
PFADD p a
PFADD p a; PFCOUNT p
PFMERGE q p

VADD v VALUES 2 1 2 e
VADD v VALUES 2 1 2 e; VCARD v
VADD v VALUES 2 1 2 e; VDIM v
VEMB v e
VADD v VALUES 2 1 2 e; VEMB v e
VADD v VALUES 2 1 2 e; VEMB v e RAW
VADD v VALUES 2 1 2 e NOQUANT; VEMB v e RAW
VGETATTR v e
VADD v VALUES 2 1 2 e SETATTR {}; VGETATTR v e
VINFO v
VADD v VALUES 2 1 2 e; VINFO v
VADD v VALUES 2 1 2 e; VISMEMBER v e
VLINKS v e
VADD v VALUES 2 1 2 e; VADD v VALUES 2 2 1 f; VLINKS v e
VADD v VALUES 2 1 2 e; VADD v VALUES 2 2 1 f; VLINKS v e WITHSCORES
VRANDMEMBER v
VADD v VALUES 2 1 2 e; VRANDMEMBER v
VADD v VALUES 2 1 2 e; VRANDMEMBER v 2
VADD v VALUES 2 1 2 e; VRANGE v - + 9
VADD v VALUES 2 1 2 e; VREM v e
VADD v VALUES 2 1 2 e; VSETATTR v e {}
VADD v VALUES 2 1 2 e; VSIM v ELE e
VADD v VALUES 2 1 2 e; VSIM v ELE e WITHSCORES
VSIM v VALUES 2 1 2

MULTI; DISCARD
EVAL 'return{1,"a",{ok="b"},false}' 0
EVAL 'return 1' 0
EVAL 'return redis.call("GET","k")' 0
EVAL_RO 'return 1' 0
SCRIPT LOAD 'return 1'; EVALSHA % 0
SCRIPT LOAD 'return 1'; EVALSHA_RO % 0
MULTI; SET k v; INCR k; EXEC
WATCH k; @SET k v; MULTI; EXEC
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function{function_name="f",callback=function()return 1 end,flags={"no-writes"}}'; FCALL f 0
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function{function_name="f",callback=function()return 1 end,flags={"no-writes"}}'; FCALL_RO f 0
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function("f",function()return 1 end)'; FUNCTION DELETE l
FUNCTION DUMP
FUNCTION FLUSH
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function("f",function()repeat until(false)end)'; CONFIG SET busy-reply-threshold 1; &FCALL f 0; FUNCTION KILL
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function("f",function()return 1 end)'; FUNCTION LIST
FUNCTION LOAD REPLACE '#!lua name=l\nredis.register_function("f",function()return 1 end)'
FUNCTION DUMP; FUNCTION RESTORE % REPLACE
FUNCTION STATS
MULTI
PUBLISH c m
@SUBSCRIBE c; PUBSUB CHANNELS
PUBSUB NUMPAT
@SUBSCRIBE c; PUBSUB NUMSUB c d
@SSUBSCRIBE c; PUBSUB SHARDCHANNELS
@SSUBSCRIBE c; PUBSUB SHARDNUMSUB c d
SCRIPT EXISTS 0000000000000000000000000000000000000000
SCRIPT FLUSH
CONFIG SET busy-reply-threshold 1; &EVAL 'repeat until(false)' 0; SCRIPT KILL
SCRIPT LOAD 'return 1'
SCRIPT LOAD 'return 1'; SCRIPT SHOW %
SPUBLISH c m
UNWATCH
WATCH k

ACL CAT
ACL DELUSER u
ACL SETUSER u reset; ACL DRYRUN default GET k
ACL SETUSER u reset; ACL DRYRUN u GET k
ACL GENPASS
ACL GETUSER nobody
ACL GETUSER default
ACL LIST
ACL LOAD
ACL SETUSER u on >p; -AUTH u wrong; ACL LOG
ACL LOG RESET
ACL SAVE
ACL SETUSER u
ACL USERS
ACL WHOAMI
cluster: ASKING
AUTH default any
BGREWRITEAOF
BGSAVE SCHEDULE
CLIENT CAPA redirect
CLIENT TRACKING ON OPTIN; CLIENT CACHING YES
CLIENT GETNAME
CLIENT SETNAME n; CLIENT GETNAME
CLIENT GETREDIR
CLIENT ID
CONFIG SET import-mode yes; CLIENT IMPORT-SOURCE ON
CLIENT INFO
@CLIENT ID; CLIENT KILL ID %
@CLIENT INFO; CLIENT KILL %addr
CLIENT LIST
CLIENT NO-EVICT ON
CLIENT NO-TOUCH ON
CLIENT PAUSE 1
CLIENT REPLY ON
CLIENT SETINFO LIB-NAME n
CLIENT SETNAME n
CLIENT TRACKING ON
CLIENT TRACKINGINFO
CLIENT TRACKING ON BCAST PREFIX p; CLIENT TRACKINGINFO
CLIENT UNBLOCK 999999
CLIENT UNPAUSE
cluster: CLUSTER MYID; CLUSTER COUNT-FAILURE-REPORTS %
cluster: CLUSTER COUNTKEYSINSLOT 0
cluster: SET k v; CLUSTER KEYSLOT k; CLUSTER GETKEYSINSLOT % 9
cluster: CLUSTER INFO
cluster: CLUSTER KEYSLOT k
cluster: CLUSTER LINKS
cluster: CLUSTER MYID
cluster: CLUSTER MYSHARDID
cluster: CLUSTER NODES
cluster: CLUSTER MYID; CLUSTER REPLICAS %
cluster: CLUSTER SHARDS
cluster: CLUSTER SLOT-STATS SLOTSRANGE 0 1
cluster: CONFIG SET cluster-preferred-endpoint-type ip; CLUSTER SLOTS
cluster: CONFIG SET cluster-announce-hostname a.b; CLUSTER SLOTS
cluster: CONFIG SET cluster-preferred-endpoint-type unknown-endpoint; CLUSTER SLOTS
COMMAND
COMMAND COUNT
COMMAND DOCS GET
COMMAND GETKEYS GET k
COMMAND GETKEYSANDFLAGS GET k
COMMAND INFO GET nosuch
COMMAND LIST
CONFIG SET commandlog-execution-slower-than 0; PING; COMMANDLOG GET 9 slow
COMMANDLOG LEN slow
COMMANDLOG RESET slow
CONFIG GET max*
CONFIG RESETSTAT
CONFIG REWRITE
CONFIG SET timeout 0
DBSIZE
ECHO m
FLUSHALL
FLUSHDB
INFO
INFO server
LASTSAVE
LATENCY DOCTOR
CONFIG SET latency-monitor-threshold 1; DEBUG SLEEP 0.02; LATENCY GRAPH command
GET k; LATENCY HISTOGRAM get
CONFIG SET latency-monitor-threshold 1; DEBUG SLEEP 0.02; LATENCY HISTORY command
CONFIG SET latency-monitor-threshold 1; DEBUG SLEEP 0.02; LATENCY LATEST
LATENCY RESET
LOLWUT
MEMORY DOCTOR
MEMORY MALLOC-STATS
MEMORY PURGE
MEMORY STATS
MEMORY USAGE k
SET k v; MEMORY USAGE k
MODULE LIST
OBJECT ENCODING k
SET k v; OBJECT ENCODING k
OBJECT FREQ k
CONFIG SET maxmemory-policy allkeys-lfu; SET k v; OBJECT FREQ k
OBJECT IDLETIME k
CONFIG SET maxmemory-policy noeviction; SET k v; OBJECT IDLETIME k
OBJECT REFCOUNT k
SET k v; OBJECT REFCOUNT k
PING
PING m
cluster: READONLY
cluster: READWRITE
REPLICAOF NO ONE
RESET
ROLE
cluster: ROLE
REPLICAOF 127.0.0.1 1; ROLE
SAVE
SELECT 1
SLAVEOF NO ONE
CONFIG SET slowlog-log-slower-than 0; PING; SLOWLOG GET
SLOWLOG LEN
SLOWLOG RESET
SWAPDB 0 1
TIME
cluster: CLUSTERSCAN 0
cluster: SET {06S} v; CLUSTERSCAN 0-{06S}-0
`;

/** Parts of rows that no line shows, and why. */
export const NOT_SHOWN: Readonly<
  Record<string, { readonly parts: readonly string[]; readonly why: string }>
> = {
  "CLIENT REPLY": {
    parts: ["null"],
    why: "there is no reply: a lease resolves to null",
  },
  "LATENCY LATEST": {
    parts: ["number"],
    why: "the sum and the count of the events are of Valkey 8.1",
  },
  "MODULE LIST": {
    parts: ["AnyReply"],
    why: "most servers have no module",
  },
};

/** The version of Redis or Valkey that brought a row which Redis 7.0 has not. */
export const SINCE: Readonly<
  Record<string, { readonly redis?: string; readonly valkey?: string }>
> = {
  "CLIENT CAPA": { valkey: "8.0" },
  "CLIENT IMPORT-SOURCE": { valkey: "8.1" },
  "CLIENT NO-TOUCH": { redis: "7.2", valkey: "7.2" },
  "CLIENT SETINFO": { redis: "7.2", valkey: "7.2" },
  "CLUSTER MYSHARDID": { redis: "7.2", valkey: "7.2" },
  "CLUSTER SLOT-STATS": { redis: "8.2", valkey: "8.0" },
  CLUSTERSCAN: { valkey: "9.1" },
  "COMMANDLOG GET": { valkey: "8.1" },
  "COMMANDLOG LEN": { valkey: "8.1" },
  "COMMANDLOG RESET": { valkey: "8.1" },
  DELEX: { redis: "8.4" },
  DELIFEQ: { valkey: "9.0" },
  DIGEST: { redis: "8.4" },
  HEXPIRE: { redis: "7.4", valkey: "9.0" },
  HEXPIREAT: { redis: "7.4", valkey: "9.0" },
  HEXPIRETIME: { redis: "7.4", valkey: "9.0" },
  HGETDEL: { redis: "8.0", valkey: "9.1" },
  HGETEX: { redis: "8.0", valkey: "9.0" },
  HPERSIST: { redis: "7.4", valkey: "9.0" },
  HPEXPIRE: { redis: "7.4", valkey: "9.0" },
  HPEXPIREAT: { redis: "7.4", valkey: "9.0" },
  HPEXPIRETIME: { redis: "7.4", valkey: "9.0" },
  HPTTL: { redis: "7.4", valkey: "9.0" },
  HSETEX: { redis: "8.0", valkey: "9.0" },
  HTTL: { redis: "7.4", valkey: "9.0" },
  MSETEX: { redis: "8.4", valkey: "9.1" },
  "SCRIPT SHOW": { valkey: "8.0" },
  VADD: { redis: "8.0" },
  VCARD: { redis: "8.0" },
  VDIM: { redis: "8.0" },
  VEMB: { redis: "8.0" },
  VGETATTR: { redis: "8.0" },
  VINFO: { redis: "8.0" },
  VISMEMBER: { redis: "8.0" },
  VLINKS: { redis: "8.0" },
  VRANDMEMBER: { redis: "8.0" },
  VRANGE: { redis: "8.4" },
  VREM: { redis: "8.0" },
  VSETATTR: { redis: "8.0" },
  VSIM: { redis: "8.0" },
  WAITAOF: { redis: "7.2", valkey: "7.2" },
  XACKDEL: { redis: "8.2" },
  XCFGSET: { redis: "8.6" },
  XDELEX: { redis: "8.2" },
};

/** Why commands that a server has are no rows. */
export const NOT_ROWS: Readonly<Record<string, readonly string[]>> = {
  "it is refused, since what follows is no reply to a command": [
    "MONITOR",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "REPLCONF",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
  ],
  "it ends or begins a connection": ["HELLO", "QUIT"],
  "it ends the server": ["SHUTDOWN"],
  "it is for developers of the server": [
    "DEBUG",
    "PFDEBUG",
    "PFSELFTEST",
    "SCRIPT DEBUG",
  ],
  "servers send it to servers": [
    "CLUSTER SYNCSLOTS",
    "RESTORE-ASKING",
    "XIDMPRECORD",
  ],
  "it changes a cluster or a replica set, by hand or by a tool": [
    "CLUSTER ADDSLOTS",
    "CLUSTER ADDSLOTSRANGE",
    "CLUSTER BUMPEPOCH",
    "CLUSTER CANCELSLOTMIGRATIONS",
    "CLUSTER DELSLOTS",
    "CLUSTER DELSLOTSRANGE",
    "CLUSTER FAILOVER",
    "CLUSTER FLUSHSLOT",
    "CLUSTER FLUSHSLOTS",
    "CLUSTER FORGET",
    "CLUSTER GETSLOTMIGRATIONS",
    "CLUSTER MEET",
    "CLUSTER MIGRATESLOTS",
    "CLUSTER MIGRATION",
    "CLUSTER REPLICATE",
    "CLUSTER RESET",
    "CLUSTER SAVECONFIG",
    "CLUSTER SET-CONFIG-EPOCH",
    "CLUSTER SETSLOT",
    "FAILOVER",
    "TRIMSLOTS",
  ],
  "it is an older name of CLUSTER REPLICAS": ["CLUSTER SLAVES"],
  "it needs a module": ["MODULE LOAD", "MODULE LOADEX", "MODULE UNLOAD"],
  "it watches the server, by hand": [
    "HOTKEYS GET",
    "HOTKEYS RESET",
    "HOTKEYS START",
    "HOTKEYS STOP",
  ],
};
