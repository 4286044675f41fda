// The commands of a server as it describes them, and forms of them with keys.
import type { Command, Reply } from "../../../resp/types.ts";
import type { Conversation } from "../../support/conversation.ts";

/** A command as one types it. */
export const typed = (line: string): Command =>
  line.split(" ") as unknown as Command;

/** A command as the server describes it. */
export interface Described {
  /** With its subcommand behind a space. */
  readonly name: string;
  /** The least number of words, the name's included. */
  readonly words: number;
  readonly flags: readonly string[];
  /** Whether it has keys, wherever they are. */
  readonly hasKeys: boolean;
  /** Hints for clients: https://redis.io/docs/latest/develop/reference/command-tips/ */
  readonly tips: readonly string[];
}

/** A specification of keys, but not of a channel or a cursor. */
const isOfKeys = (specification: Reply): boolean => {
  const [, flags] = specification as [name: string, flags: string[]];
  return !flags.includes("not_key");
};

/** All commands of a server, subcommands too: https://redis.io/docs/latest/commands/command/ */
export async function commandsOf(redis: Conversation): Promise<Described[]> {
  const flat = (replies: Reply): Described[] =>
    (replies as Reply[][]).flatMap((reply) => [
      {
        name: `${reply[0]}`.toUpperCase().replace("|", " "),
        words: Math.abs(reply[1] as number),
        flags: reply[2] as string[],
        hasKeys: (reply[8] as Reply[]).some(isOfKeys),
        tips: reply[7] as string[],
      },
      ...flat(reply[9] ?? []),
    ]);
  return flat(await redis.ask("COMMAND"));
}

/** Forms of commands whose keys are not at fixed places. */
export const KEY_FORMS = [
  "BITOP AND d a b",
  "BLMPOP 5 2 a b LEFT COUNT 1",
  "BLPOP a b c 0",
  "BZMPOP 5 2 a b MIN",
  "BZPOPMAX a b 1.5",
  "EVAL script 2 a b c",
  "EVALSHA abc 2 a b 1",
  "EVALSHA_RO abc 1 a b",
  "EVAL_RO script 2 a b 3",
  "FCALL f 3 a b c d",
  "FCALL_RO f 1 a b",
  "GEORADIUS a 1 2 3 km STORE d",
  "GEORADIUS store 1 2 3 km ASC storedist d",
  "GEORADIUSBYMEMBER a store 3 km WITHDIST STORE d",
  "GEORADIUSBYMEMBER a m 3 km COUNT 1",
  "LMPOP 2 a b LEFT",
  "MIGRATE host 1 a 0 1",
  "MIGRATE host 1 a 0 1 COPY REPLACE",
  "MIGRATE host 1  0 1 KEYS a b c",
  "MIGRATE host 1  0 1 REPLACE AUTH keys KEYS a b",
  "MIGRATE host 1  0 1 AUTH2 keys keys COPY KEYS keys KEYS",
  "MSET a 1 b 2 c 3",
  "MSETEX 2 a 1 b 2 EX 5",
  "MSETNX a 1 b 2",
  "PFMERGE d a b c",
  "SINTERCARD 2 a b LIMIT 1",
  "SORT a",
  "SORT a BY w LIMIT 0 1 GET g GET h ASC ALPHA STORE d",
  "SORT a BY store STORE d",
  "SORT a GET STORE LIMIT store store STORE d STORE e",
  "SORT a LIMIT 0 STORE d",
  "SORT_RO a BY w GET g",
  "WATCH a b c",
  "XREAD STREAMS a 0",
  "XREAD COUNT 5 BLOCK 0 STREAMS a b c 0 1 2",
  "XREAD STREAMS streams block 0 1",
  "XREADGROUP GROUP g c COUNT 5 NOACK STREAMS a b > >",
  "XREADGROUP GROUP streams streams STREAMS a >",
  "ZDIFF 2 a b WITHSCORES",
  "ZDIFFSTORE d 3 a b c",
  "ZINTER 1 a WEIGHTS 1",
  "ZINTERCARD 2 a b LIMIT 1",
  "ZINTERSTORE d 1 a WEIGHTS 2",
  "ZMPOP 2 a b MIN",
  "ZUNION 3 a b c",
  "ZUNIONSTORE d 2 a b WEIGHTS 1 2 AGGREGATE MAX",
];

/** A command with as many words as it needs and up to three more, all different. */
export const numbered = ({ name, words }: Described): string[] =>
  [0, 1, 2, 3].map((more) => {
    const missing = Math.max(0, words + more - name.split(" ").length);
    return [name, ...Array.from({ length: missing }, (_, i) => `argument${i}`)]
      .join(" ");
  });
