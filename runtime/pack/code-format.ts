// How codes of each width lie in a pack. Codes of less than 8 bits become the upper bits of signed bytes, 4 bytes to a
// word, which an integer dot product takes: so their bits are kept in planes, from which a shift and a mask make words.

/** Bits per weight of a quantized copy. */
export type CodeBits = 2 | 3 | 4 | 5 | 6 | 8;

export interface CodeFormat {
  readonly bits: CodeBits;
  /** Bits of a code in the first plane, tensor `codes`. */
  readonly main: 2 | 4 | 8;
  /** Bits of a code below those, in the second plane, tensor `low_codes`. */
  readonly low: 0 | 1 | 2;
  /**
   * Whether a code stands for an odd number, `2 code + 1`: with so few levels none is spent on 0, and as many lie above 0
   * as below. Otherwise codes stand for themselves, and the lowest one is not used.
   */
  readonly odd: boolean;
}

const FORMATS: Readonly<Record<CodeBits, CodeFormat>> = {
  2: { bits: 2, main: 2, low: 0, odd: true },
  3: { bits: 3, main: 2, low: 1, odd: true },
  4: { bits: 4, main: 4, low: 0, odd: false },
  5: { bits: 5, main: 4, low: 1, odd: false },
  6: { bits: 6, main: 4, low: 2, odd: false },
  8: { bits: 8, main: 8, low: 0, odd: false },
};

export function codeFormat(bits: CodeBits): CodeFormat {
  return FORMATS[bits];
}

/** The largest number that a code stands for. */
export function largestLevel(bits: CodeBits): number {
  return FORMATS[bits].odd ? 2 ** bits - 1 : 2 ** (bits - 1) - 1;
}

/** How many bits the signed byte of a code has to the right of the number that the code stands for. */
export function levelShift(bits: CodeBits): number {
  return FORMATS[bits].odd ? 7 - bits : 8 - bits;
}

/** Codes of a row that a lane takes at a time. */
export function codesPerStep(bits: CodeBits): number {
  return bits === 8 ? 16 : 32;
}
