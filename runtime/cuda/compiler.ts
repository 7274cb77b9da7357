// What compiles CUDA sources to kernel images, whichever program does it.

/** Compiles one source for one card. */
export interface CudaCompiler {
  /** With its version, such as `NVRTC 13.0`: together with source and architecture it decides the bytes of an image. */
  readonly name: string;
  /**
   * @param capability of the card, such as 90.
   * @returns what to compile for, or why it cannot compile for that card.
   */
  architectureFor(capability: number): Architecture | { readonly unknown: string };
  /** @throws CompileFailure with what it says of the source, Error when it fails otherwise. */
  compile(source: CudaSource, architecture: Architecture): Promise<Uint8Array>;
}

/** Such as `sm_90` for instructions of a card, `compute_90` for PTX, which the driver compiles when it loads it. */
export type Architecture = `sm_${number}` | `compute_${number}`;

export interface CudaSource {
  /** For messages: the last part of the source's path. */
  readonly name: string;
  readonly text: string;
}

/** The compiler does not accept the source. */
export class CompileFailure extends Error {}

/**
 * The best of the architectures that a compiler knows: the card's own, or one before it of the same major version, whose
 * instructions the card runs as well, or PTX of an older one (CUDA C++ Programming Guide, "Binary Compatibility").
 */
export function bestArchitecture(known: readonly number[], capability: number): Architecture | undefined {
  const older = known.filter((each) => each <= capability);
  const best = Math.max(...older);
  if (older.length === 0) return undefined;
  return Math.floor(best / 10) === Math.floor(capability / 10) ? `sm_${best}` : `compute_${best}`;
}

/** The first error of a compiler's log, `FILE(LINE): error: …`, with the line itself; or all of the log. */
export function firstError({ text }: CudaSource, log: string): string {
  const found = log.match(/\((\d+)\): (?:catastrophic )?error: (.*)/);
  if (!found) return log.trim();
  const [, line, message] = found;
  return `line ${line}: ${message} in \`${text.split("\n")[Number(line) - 1]?.trim() ?? ""}\``;
}

/** The flags without which the sources do not compile. */
export const STANDARD = "c++17";
