// A small head with weights and inputs in a folder, and what commands say of it.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, vi } from "vitest";
import { calibrateCommand } from "../../../compiler/cli/commands/calibrate.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";
import { writeSafetensors } from "../../../runtime/node/safetensors-file.ts";
import { mulberry32, normal } from "../../cases/random.ts";

export const [INPUTS, ROWS, TOKENS] = [32, 512, 256];

/** `small.hire.ts`. */
export const SPEC = `import { defineModel, quantized, softmax, twoStage } from "hirec";

export default defineModel("small", {
  // The head of it all.
  head: softmax({
    inputs: ${INPUTS}, rows: ${ROWS}, dtype: "f32", weight: "w",
    estimator: quantized({ bits: 8, group: 32 }), // codes
    k: 8,
    candidates: 64,
    select: twoStage({ recall: 0.99 }),
  }),
});
`;

let folder: string;
/** A file of the folder. */
export const at = (name: string) => join(folder, name);

/** Before each test of a file: the spec, its weights and its inputs, in a folder and with a cache of their own. */
export function useSmallLayer(): void {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-calibrate-"));
    vi.stubEnv("XDG_CACHE_HOME", at("cache"));
    await writeFile(at("small.hire.ts"), SPEC);
    const random = mulberry32(5);
    await store("w", "w", [ROWS, INPUTS], () => normal(random));
    await store("x", "head.input", [TOKENS, INPUTS], () => normal(random));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });
}

/** Writes a tensor, F32, as `<file>.safetensors`. */
export async function store(file: string, name: string, shape: number[], value: (i: number) => number): Promise<void> {
  const numbers = Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => value(i));
  const tensor = { name, dtype: "F32" as const, shape, bytes: () => new Uint8Array(numbers.buffer) };
  await writeSafetensors(at(`${file}.safetensors`), [tensor], {}, "HIRE-RUN-009");
}

export interface Outcome {
  readonly exitCode: number | undefined;
  readonly ok: boolean;
  readonly [result: string]: unknown;
}

/** What a command prints with --json. */
export async function outcomeOf(command: { handler: unknown }, args: object): Promise<Outcome> {
  let output = "";
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  vi.spyOn(process.stdout, "write").mockImplementation((text, done?: unknown) => {
    output += text;
    if (typeof done === "function") done();
    return true;
  });
  await (command.handler as (args: object) => Promise<void>)({ json: true, _: [], $0: "hirec", ...args });
  const [[exitCode] = []] = exit.mock.calls as [number?][];
  vi.restoreAllMocks();
  return { exitCode, ...JSON.parse(output) };
}

/** What `hirec calibrate` finds of the small layer. @param changes of its options. */
export const calibrated = (changes: object = {}) =>
  outcomeOf(calibrateCommand, {
    ...{ spec: at("small.hire.ts"), weights: [at("w.safetensors")], activations: [at("x.safetensors")] },
    ...{ target: "recall=0.95", seed: 1, tokens: 1024, write: false, "dry-run": false, fresh: false },
    ...{ bits: [4, 8], rank: [0], candidates: [8, 12, 16, 24] },
    ...changes,
  });

export const diagnosticsOf = ({ diagnostics, problems }: Outcome) => (diagnostics ?? problems) as readonly Diagnostic[];
