// The signatures of @std/uuid/v5 that this project uses.

export function validate(id: string): boolean;

// Releases of @std/uuid differ in what they take as data; all take this.
export function generate(
  namespace: string,
  data: Uint8Array<ArrayBuffer>,
): Promise<string>;
