// Checks of options, with what an error says of a wrong one.

/** What an option must be: a test, and the words for it in an error. */
export type OptionRule = readonly [
  is: (value: unknown) => boolean,
  expected: string,
];

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** A callback. */
export const FUNCTION: OptionRule = [
  (value) => typeof value === "function",
  "a function",
];

/** Something that is on or off. */
export const BOOLEAN: OptionRule = [
  (value) => typeof value === "boolean",
  "true or false",
];

/** What may end a wait. */
export const SIGNAL: OptionRule = [
  (value) => isObject(value) && typeof value.throwIfAborted === "function",
  "an AbortSignal",
];

/** A duration in milliseconds; `Infinity` is one. */
export const DURATION: OptionRule = [
  (value) => typeof value === "number" && value >= 0,
  "a number of milliseconds of 0 or more",
];

/** The longest time that a timer can wait, in milliseconds. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** A retry policy. Not `instanceof`: a service may hold two copies of this module. */
export const RETRY: OptionRule = [
  (value) =>
    value === false ||
    (isObject(value) && typeof value.next === "function" &&
      typeof value.run === "function"),
  "a Retry, such as new Retry({ retries: 3 }), or false",
];

/** Validated by the module that uses it. */
export const CHECKED_ELSEWHERE: OptionRule = [() => true, ""];

/** Options that had another name once. */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ["settle", "resolveFate"],
]);

/** @throws {TypeError} If an option is unknown or breaks its rule. */
export function checkOptions(
  options: object,
  rules: Readonly<Record<string, OptionRule>>,
): void {
  if (!isObject(options)) {
    throw new TypeError(
      `Cannot use options ${options}: expected an object, or nothing`,
    );
  }
  for (const name in options) {
    if (!Object.hasOwn(rules, name)) throw unknownOption(name, rules);
    const [is, expected] = rules[name]!;
    const value = options[name];
    if (value !== undefined && !is(value)) {
      throw new TypeError(
        `Cannot use ${name} ${show(value)}: expected ${expected}`,
      );
    }
  }
}

function unknownOption(name: string, rules: object): TypeError {
  const newName = RENAMED.get(name) ?? "";
  return new TypeError(
    `Cannot use option ${JSON.stringify(name)}: ${
      Object.hasOwn(rules, newName)
        ? `it is called ${newName} now`
        : `expected one of ${Object.keys(rules).join(", ")}`
    }`,
  );
}

/** So many characters of a string are shown. */
const MAX_SHOWN = 100;

/** A value as an error shows it: never what is inside an object, and not all of a long string. */
export const show = (value: unknown): string =>
  typeof value === "string"
    ? value.length > MAX_SHOWN
      ? `${
        JSON.stringify(value.slice(0, MAX_SHOWN))
      }… (${value.length} characters)`
      : JSON.stringify(value)
    : isObject(value) || typeof value === "function"
    ? `of type ${typeof value}`
    : typeof value === "bigint"
    ? `${value}n`
    : String(value);

/** @throws {TypeError} If the value is not a whole number from `least` to `most`. */
export function checkWhole(
  what: string,
  name: string,
  value: unknown,
  { least = 1, most }: { readonly least?: number; readonly most: number },
): void {
  if (Number.isSafeInteger(value)) {
    const number = value as number;
    if (number >= least && number <= most) return;
  }
  throw new TypeError(
    `Cannot ${what}: ${name} is ${
      show(value)
    }, expected a whole number from ${least} to ${most}`,
  );
}
