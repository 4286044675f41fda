// The program of a process that runs one scenario: prints its row as JSON, and ends by itself.
import { ClientHost, type RuntimeName } from "./client_host.ts";
import { incrUnder } from "./incr.ts";
import { recordUnder } from "./record.ts";
import { scenarios } from "./scenarios.ts";

const [name, load, profile, runtime] = Deno.args;
const { subprocess: _, ...scenario } = scenarios.find((one) =>
  one.name === name
)!;
await using host = runtime === "deno"
  ? undefined
  : await ClientHost.start(runtime as RuntimeName);
const run = load === "INCR" ? incrUnder : recordUnder;
console.log(JSON.stringify(await run(scenario, JSON.parse(profile!), host)));
