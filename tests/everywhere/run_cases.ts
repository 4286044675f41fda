// Runs cases, several at a time: they mostly wait.
import { subjects } from "./cases.ts";
import { type Assignment, type CaseResult, Env } from "./env.ts";

const AT_ONCE = 6;
/** A case that takes longer hangs, in milliseconds. */
const MOST_MS = 20_000;

/** Runs one case, or all of a subject; each result is told when it is there. */
export async function runCases(
  assignment: Assignment,
  tell: (result: CaseResult) => void,
): Promise<void> {
  const { subject, name: only } = assignment;
  const cases = subjects[subject]!;
  const names = only === undefined ? Object.keys(cases) : [only];
  const work = async () => {
    for (let name; (name = names.shift()) !== undefined;) {
      const startedAt = performance.now();
      const error = await failureOf(() => cases[name!]!(new Env(assignment)));
      const ms = performance.now() - startedAt;
      tell(error === undefined ? { name, ms } : { name, ms, error });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function failureOf(
  run: () => Promise<void>,
): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`no end within ${MOST_MS} ms`);
      timer = setTimeout(() => reject(error), MOST_MS);
    });
    await Promise.race([run(), late]);
    return undefined;
  } catch (error) {
    const { stack, message, cause } = error as Error;
    // Not every runtime has the message in the stack, and not all of them know NO_COLOR.
    return `${message}\n${stack}${cause ? `\ncause: ${cause}` : ""}`
      // deno-lint-ignore no-control-regex
      .replaceAll(/\x1b\[\d+m/g, "");
  } finally {
    clearTimeout(timer);
  }
}
