// The program that runs cases on Deno, Node and Bun: it prints a line of JSON for each, and ends by itself.
import process from "node:process";
import type { Assignment } from "./env.ts";
import { runCases } from "./run_cases.ts";

const assignment = JSON.parse(process.argv[2]!) as Assignment;
await runCases(assignment, (result) => console.log(JSON.stringify(result)));
