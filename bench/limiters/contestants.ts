// Contestants: the limiters that are compared, and how each is started.

/** One column of the table. */
export interface LimiterContestant {
  readonly name: string;
  /** How to start its program, short of the job. */
  readonly program: readonly string[];
}

const folder = new URL("../", import.meta.url).pathname;
const imports = (Deno.env.get("IMPORTS") ?? "").split(" ").filter(Boolean);
const deno = [Deno.execPath(), "run", "--quiet", "-A"];

/** Ours, with `deno` and the import map. */
export const ours: LimiterContestant = {
  name: "ours",
  program: [...deno, ...imports, `${folder}limiters/ours.ts`],
};

const peer = (
  name: string,
  file: string,
  ...variants: string[]
): LimiterContestant => ({
  name,
  program: [...deno, `${folder}peers/${file}.ts`, ...variants],
});

/** As its documentation has it, on an ioredis with default options. */
export const flexible: LimiterContestant = peer("flexible", "flexible");
/** The same, with blocked keys in memory, too. */
export const flexibleMemory: LimiterContestant = peer(
  "flexible memory",
  "flexible",
  "memory",
);
/** With its own client, over HTTP. */
export const upstash: LimiterContestant = peer("upstash", "upstash");

/** Those that are timed. */
export const timed: readonly LimiterContestant[] = [
  ours,
  flexible,
  flexibleMemory,
  peer("flexible auto", "flexible", "auto", "memory"),
  peer("upstash", "upstash", "tcp"),
];
