// An order by chance, so that the clients of a deployment do not all ask the same server first.

/**
 * A copy in an order by chance.
 *
 * @param items The items.
 * @param random Gives numbers of 0 or more, less than 1.
 */
export const shuffled = <T>(
  items: readonly T[],
  random: () => number = Math.random,
): T[] =>
  items.map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at).map(({ item }) => item);
