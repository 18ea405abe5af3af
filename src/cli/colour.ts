const CODES = { red: '1;31', green: '1;32', yellow: '1;33', dim: '2' } as const;

/** Paints a text, or leaves it as it is. */
export type Paint = (colour: keyof typeof CODES, text: string) => string;

export const inColour: Paint = (colour, text) => `\u001b[${CODES[colour]}m${text}\u001b[0m`;

export const plain: Paint = (_, text) => text;
