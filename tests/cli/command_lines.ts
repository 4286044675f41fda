// A program that runs one command line after the other, and prints a line behind what each has printed.
import { verify } from "../../cli/verify.ts";

const [end, lines] = JSON.parse(Deno.args[0]!) as [string, string[][]];
for (const args of lines) {
  const code = await verify(args);
  console.log(`${end}${code}`);
  console.error(end);
}
