// The scripts of @upstash/ratelimit, made to run on a Redis that is not Upstash's.

/**
 * The script without its first line, `#!lua flags=allow-key-locking`. Redis and
 * Valkey refuse that flag: "ERR Unexpected flag in script shebang". The script
 * without it has another hash.
 */
export const runnable = (script: string): string =>
  script.replace(/^#!lua[^\n]*\n/, "");
