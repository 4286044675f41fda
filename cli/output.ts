// Where the lines of a command go while it runs.

/** Standard output for what was found out, standard error for the rest. */
export interface Audience {
  /** Lines of the report. */
  say(lines: readonly string[]): void;
  /** What is going on now, in place of what was said before. */
  progress(what: string): void;
  /** Whether `progress` is seen at all: on a terminal. */
  readonly isLive: boolean;
  /** A line beside the report. */
  note(what: string): void;
  /** Something went wrong that the report does not show. */
  warn(what: string): void;
}
