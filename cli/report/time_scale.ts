// The time axis of a page: where a moment lies, and which moments are labelled.
import { type Markup, markup } from "./markup.ts";

/** How wide a drawing is, in units of its own: it is stretched to the width of the page. */
export const WIDTH = 1000;

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Distances between labels that read well. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 30].map((n) => n * SECOND_MS),
  ...[1, 2, 5, 10, 30].map((n) => n * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR_MS),
  ...[1, 2, 7].map((n) => n * DAY_MS),
];

/** The most labels that fit on a phone. */
const MOST_LABELS = 6;

/** From the first moment of a watch to its last. Unix times in milliseconds. */
export class TimeScale {
  readonly from: number;
  readonly to: number;

  constructor(from: number, to: number) {
    this.from = from;
    this.to = Math.max(to, from + 1);
  }

  /** Where a moment lies, in tenths of a unit; beyond the ends at the end. */
  x(at: number): number {
    const share = (at - this.from) / (this.to - this.from);
    return Math.round(Math.min(1, Math.max(0, share)) * WIDTH * 10) / 10;
  }

  /** The same in percent. */
  percent(at: number): string {
    return `${Math.round(this.x(at) * 1000 / WIDTH) / 10}%`;
  }

  /** The moments to label. */
  get ticks(): number[] {
    const stepMs =
      STEPS_MS.find((ms) => (this.to - this.from) / ms <= MOST_LABELS) ??
        Math.ceil((this.to - this.from) / MOST_LABELS / DAY_MS) * DAY_MS;
    const ticks = [];
    for (
      let at = Math.ceil(this.from / stepMs) * stepMs;
      at <= this.to;
      at += stepMs
    ) ticks.push(at);
    return ticks;
  }

  /** The labels, to stand below a drawing. */
  get axis(): Markup {
    const form = this.to - this.from > 2 * DAY_MS
      ? "day"
      : this.to - this.from > 10 * MINUTE_MS
      ? "minute"
      : "second";
    return markup`<div class="axis" aria-hidden="true">${
      this.ticks.map((at) =>
        markup`<span style="${labelAt(this.percent(at))}">${
          time(at, form)
        }</span>`
      )
    }</div>`;
  }
}

/** Where a label stands, centred: not beyond the edges of its drawing, or a phone would scroll sideways. */
export const labelAt = (left: string): string =>
  `left:clamp(2rem,${left},calc(100% - 2rem))`;

/** How much of a time is shown. */
export type TimeForm = "full" | "day" | "minute" | "second";

/** A time, shown in UTC; the script of the page shows it in the reader's zone. */
export function time(at: number, form: TimeForm = "full"): Markup {
  const iso = new Date(at).toISOString();
  const shown = {
    full: `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`,
    day: iso.slice(5, 10),
    minute: iso.slice(11, 16),
    second: iso.slice(11, 19),
  }[form];
  return markup`<time datetime="${iso}" data-form="${form}">${shown}</time>`;
}
