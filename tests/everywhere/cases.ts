// The cases of all runtimes, by subject.
import { closes } from "./cases/closes.ts";
import { dials } from "./cases/dials.ts";
import { tls } from "./cases/tls.ts";
import { bytes } from "./cases/bytes.ts";
import { calls } from "./cases/calls.ts";
import { recording } from "./cases/recording.ts";
import type { Cases } from "./env.ts";

/** The sets of cases. */
export const subjects: Readonly<Record<string, Cases>> = {
  "connections that end": closes,
  "connections that cannot be opened": dials,
  "many bytes": bytes,
  "TLS": tls,
  "commands": calls,
  "recording": recording,
};
