// The signatures of @std/uuid/v4 that this project uses.

export function validate(id: string): boolean;
