// The program of a process in which one scenario is played: prints its row as JSON, and ends by itself.
import { incrUnder } from "./incr.ts";
import { recordUnder } from "./load.ts";
import { scenarios } from "./scenarios.ts";

const [name, load, form] = Deno.args;
const { alone: _, ...scenario } = scenarios.find((one) => one.name === name)!;
const play = load === "INCR" ? incrUnder : recordUnder;
console.log(JSON.stringify(await play(scenario, JSON.parse(form!))));
