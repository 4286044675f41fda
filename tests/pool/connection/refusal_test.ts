// What an error reply says: whether the command ran, and whether another attempt is worth while.

import "../../support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import {
  fateOfReply,
  isPassing,
  isPassingInHandshake,
  saysReadonly,
} from "../../../pool/connection/refusal.ts";
import { type Fate, ReplyError } from "../../../mod.ts";

/** Error replies as servers, services and proxies write them. */
const REPLIES: readonly [text: string, fate: Fate, isPassing: boolean][] = [
  ["LOADING Redis is loading the dataset in memory", "unsent", true],
  ["READONLY You can't write against a read only replica.", "unsent", true],
  [
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "unsent",
    true,
  ],
  ["CLUSTERDOWN The cluster is down", "unsent", true],
  ["CLUSTERDOWN Hash slot not served", "unsent", true],
  ["TRYAGAIN Multiple keys request during rehashing of slot", "unsent", true],
  ["NOREPLICAS Not enough good replicas to write.", "unsent", true],
  [
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "unsent",
    true,
  ],
  ["UNBLOCKED client unblocked via CLIENT UNBLOCK", "unsent", true],
  [
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "unsent",
    true,
  ],
  ["ERR max number of clients reached", "unsent", true],
  ["ERR max concurrent connections exceeded", "unsent", true],
  ["no upstream host", "unsent", true],

  [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "unsent",
    false,
  ],
  [
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "unsent",
    false,
  ],
  ["MISCONF Errors writing to the AOF file: No space left", "unsent", false],
  [
    "NOPERM this user has no permissions to run the 'set' command",
    "unsent",
    false,
  ],
  ["NOAUTH Authentication required.", "unsent", false],
  ["ERR operation not permitted", "unsent", false],
  [
    "WRONGPASS invalid username-password pair or user is disabled.",
    "unsent",
    false,
  ],
  ["ERR invalid password", "unsent", false],
  ["ERR Client sent AUTH, but no password is set", "unsent", false],
  [
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    "unsent",
    false,
  ],
  ["DENIED Redis is running in protected mode", "unsent", false],
  ["NOPROTO unsupported protocol version", "unsent", false],
  ["MOVED 3999 127.0.0.1:6381", "unsent", false],
  ["ASK 3999 127.0.0.1:6381", "unsent", false],
  ["REDIRECT 127.0.0.1:6381", "unsent", false],
  [
    "CROSSSLOT Keys in request don't hash to the same slot",
    "unsent",
    false,
  ],
  [
    "EXECABORT Transaction discarded because of previous errors.",
    "unsent",
    false,
  ],
  [
    "ERR Transaction contains write commands but instance is now a read-only slave. EXEC aborted.",
    "unsent",
    false,
  ],
  [
    "ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
    "unsent",
    false,
  ],
  ["ERR unknown command `NOSUCH`, with args beginning with: ", "unsent", false],
  ["ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.", "unsent", false],
  [
    "ERR Unknown subcommand or wrong number of arguments for 'nosuch'. Try CLIENT HELP",
    "unsent",
    false,
  ],
  ["unsupported command 'hello'", "unsent", false],
  ["ERR wrong number of arguments for 'get' command", "unsent", false],
  ["wrong number of arguments for 'get' command", "unsent", false],
  ["invalid request", "unsent", false],
  ["ERR max requests limit exceeded. Limit: 500000", "unsent", false],
  ["ERR max daily request limit exceeded", "unsent", false],
  ["ERR max request size exceeded", "unsent", false],
  ["ERR service is not available", "unsent", false],
  ["ERR Protocol error: invalid bulk length", "unsent", false],
  ["ERR Command not allowed inside a transaction", "unsent", false],
  [
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection',
    "unsent",
    false,
  ],
  [
    "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    "unsent",
    false,
  ],
  ["ERR Replica can't interact with the keyspace", "unsent", false],

  ["upstream failure", "unknown", false],
  ["upstream protocol error", "unknown", false],
  ["ERR Connection timed out", "unknown", false],
  ["ERR Connection reset by peer", "unknown", false],
  ["ERR Broken pipe", "unknown", false],

  [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "executed",
    false,
  ],
  ["ERR value is not an integer or out of range", "executed", false],
  ["ERR no such key", "executed", false],
  ["ERR syntax error", "executed", false],
  ["ERR EXEC without MULTI", "executed", false],
  ["BUSYGROUP Consumer Group name already exists", "executed", false],
  ["BUSYKEY Target key name already exists.", "executed", false],
  ["NOGOODSLAVE No suitable replica to promote", "executed", false],
  ["NOTBUSY No scripts in execution right now.", "executed", false],
  ["OOMPH something else", "executed", false],
];

for (const [text, fate, passes] of REPLIES) {
  Deno.test(`An error reply "${text.slice(0, 60)}" means ${fate}${passes ? ", try again" : ""}`, () => {
    const reply = new ReplyError(text);
    assertEquals(fateOfReply(reply), fate);
    assertEquals(isPassing(reply), passes);
  });
}

Deno.test("A service that is not available is worth another attempt in the handshake only", () => {
  const reply = new ReplyError("ERR service is not available");
  assert(isPassingInHandshake(reply));
  assert(!isPassing(reply));
  for (const [text, , passes] of REPLIES) {
    if (text === reply.message) continue;
    assertEquals(isPassingInHandshake(new ReplyError(text)), passes, text);
  }
});

Deno.test("An error reply says that its server is a replica, in the wordings of all versions", () => {
  const replica = [
    "READONLY You can't write against a read only replica.",
    "READONLY You can't write against a read only slave.",
    "READONLY You can't write against a read only replica. script: 1f, on @user_script:1.",
    "READONLY Can not run script with write flag on readonly replica.",
    "ERR Error running script (call to f_1f): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica. ",
    "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
    "ERR Transaction contains write commands but instance is now a read-only replica. EXEC aborted.",
    "ERR Transaction contains write commands but instance is now a read-only slave. EXEC aborted.",
  ];
  for (const text of replica) assert(saysReadonly(new ReplyError(text)), text);
  const other = [
    "ERR unknown command 'READONLY', with args beginning with: ",
    "NOPERM this user has no permissions to run the 'readonly' command",
    "ERR no such key READONLY",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  ];
  for (const text of other) assert(!saysReadonly(new ReplyError(text)), text);
});

Deno.test("A transaction of which one command was answered READONLY has met a replica", () => {
  const readonly = new ReplyError(
    "READONLY You can't write against a read only replica. script: 1f, on @user_script:1.",
  );
  assert(saysReadonly(["OK", readonly]));
  assert(!saysReadonly(["READONLY You can't write", new ReplyError("ERR no")]));
  assert(!saysReadonly("READONLY"));
  assert(!saysReadonly(null));
});
