// Results: every number measured, and the medians and ratios made of them.

/** One number: what one client did in one row of one round. */
export interface Sample {
  round: number;
  row: string;
  client: string;
  /** Units a second, milliseconds or MiB, as the row says. */
  value: number;
}

/** The middle value; the mean of the middle two when they are even in number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[half]!
    : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The median of a client's values in a row; NaN when it has none. */
export function valueOf(
  samples: readonly Sample[],
  row: string,
  client: string,
): number {
  const values = samples.filter((s) => s.row === row && s.client === client)
    .map((s) => s.value);
  return values.length === 0 ? NaN : median(values);
}

/** The median of a client's ratios to another in the same rounds; NaN when they never met. */
export function ratioOf(
  samples: readonly Sample[],
  row: string,
  client: string,
  to: string,
  toRow: string = row,
): number {
  return medianOf(samples, row, client, toRow, to, (a, b) => a / b);
}

/** The median of a client's differences to another in the same rounds. */
export function differenceOf(
  samples: readonly Sample[],
  row: string,
  client: string,
  to: string,
): number {
  return medianOf(samples, row, client, row, to, (a, b) => a - b);
}

function medianOf(
  samples: readonly Sample[],
  row: string,
  client: string,
  toRow: string,
  to: string,
  compare: (a: number, b: number) => number,
): number {
  const others = new Map(
    samples.filter((s) => s.row === toRow && s.client === to)
      .map((s) => [s.round, s.value]),
  );
  const compared = samples
    .filter((s) => s.row === row && s.client === client && others.has(s.round))
    .map((s) => compare(s.value, others.get(s.round)!));
  return compared.length === 0 ? NaN : median(compared);
}
