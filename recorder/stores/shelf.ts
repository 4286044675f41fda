// What an outbox needs of a store that keeps bytes under names, in the order of the names.

/** A value under a name. */
export interface Item {
  /** The name, or a description of a key that is none. */
  readonly name: string;
  /** Bytes or a text, unless it was put there by something else. */
  readonly value: unknown;
}

/** What is to be put under a name. If it is `undefined`, the name is to be removed. */
export type Change = Item;

/** A store that keeps bytes under names, in the order of the names. */
export interface Shelf {
  /** What it is called in errors. */
  readonly title: string;
  /** The largest value under one name, in bytes. */
  readonly largestValue: number;
  /** Reads what is there from the name `start` on, before the name `end`, in order. */
  read(start: string, end: string): AsyncIterable<Item>;
  /**
   * Makes changes. They are durable when it resolves. Those of one group are made
   * together or not at all; so are those of all groups, if one transaction of the
   * store can hold them. Otherwise the groups are made in their order, until one fails.
   *
   * @throws {Error} If a group is too large, before anything is changed, or the store fails.
   */
  change(groups: readonly (readonly Change[])[]): Promise<void>;
}
