// Versions of servers, compared.

/**
 * Whether a version is a given one or a later one.
 *
 * @param version Such as `"7.2.4"`; `undefined` is earlier than any.
 * @param major The first number of the given version.
 * @param minor Its second number.
 */
export function isAtLeast(
  version: string | undefined,
  major: number,
  minor: number,
): boolean {
  const [a = 0, b = 0] = version?.split(".").map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
