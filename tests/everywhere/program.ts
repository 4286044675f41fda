// The program of processes of Deno, Node and Bun: it runs cases, or is a life that is looked at from outside.
import process from "node:process";
import type { Assignment } from "./env.ts";
import { lives } from "./lives.ts";
import { runCases } from "./run_cases.ts";

const [task, ...args] = process.argv.slice(2);
if (task === "cases") {
  const assignment = JSON.parse(args[0]!) as Assignment;
  await runCases(assignment, (result) => console.log(JSON.stringify(result)));
} else {
  await lives[task!]!(...args);
}
