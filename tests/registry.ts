// Serves this module to Deno, npm and Bun as JSR does once it is published, to try it from an empty folder.
import { canPack, startRegistry } from "./support/published/project.ts";
import { installTools } from "./support/tools.ts";

const HELP =
  `Serves this module on this machine as JSR does once it is published, until
Ctrl-C. What it prints makes Deno, npm and Bun install it from here.

./dev registry [--help]
`;

const [argument, ...rest] = Deno.args;
if (argument === "--help" && rest.length === 0) {
  console.log(HELP.trimEnd());
  Deno.exit(0);
}
if (argument !== undefined) {
  console.error(`Cannot use ${argument}: expected no argument, or --help`);
  Deno.exit(2);
}
if (!canPack) {
  console.error("Cannot make the package: expected a Deno that has deno pack");
  Deno.exit(1);
}
await installTools();
const { url } = await startRegistry();
console.log(`@unzombie/redis is at ${url} until Ctrl-C. In an empty folder:

  export JSR_URL=${url}
  echo '@jsr:registry=${url}' > .npmrc

After that "deno add jsr:@unzombie/redis", "npx jsr add @unzombie/redis" and
"bunx jsr add @unzombie/redis" install it from here.`);
