// Every function of the table in CUDA, compiled for the CPU: what it makes of numbers of every kind is what it means.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { scalarsToCuda } from "../../compiler/scalar/cuda.ts";
import { FUNCTIONS, wrongScalars } from "../cases/judge-scalar.ts";
import { NUMBERS } from "../cases/scalar-cases.ts";
import { rowOf } from "../cases/selected.ts";
import { whyNoCompiler } from "./build.ts";

const execute = promisify(execFile);
const missing = await whyNoCompiler();

describe.skipIf(missing)(`CUDA functions on the CPU${missing ? `, skipped: ${missing}` : ""}`, () => {
  let results: Float32Array;
  beforeAll(async () => {
    results = await computeAll();
  });

  test.each(FUNCTIONS.map((each, i) => [each.name, each, i] as const))("%s", (_, each, i) => {
    expect(wrongScalars(each, rowOf(results, NUMBERS.length, i), false)).toEqual([]);
  });
});

/** `[functions, numbers]`. */
async function computeAll(): Promise<Float32Array> {
  const words = [...new Uint32Array(NUMBERS.buffer)].map((word) => `${word}u`);
  const source = `#include "cuda-on-cpu.h"
#include <cstdio>
namespace functions {
${scalarsToCuda(Object.fromEntries(FUNCTIONS.map(({ id, scalar }) => [id, scalar])))}
}
const unsigned int numbers[] = {${words.join(", ")}};
template <typename Function> void write(Function function) {
  for (unsigned int bits : numbers) {
    const float result = function(__uint_as_float(bits));
    std::fwrite(&result, 4, 1, stdout);
  }
}
int main() {
${FUNCTIONS.map(({ id }) => `  write([](float z) { return functions::${id}(z); });`).join("\n")}
}
`;
  const folder = await mkdtemp(join(tmpdir(), "hirec-scalar-"));
  try {
    const [path, program] = [join(folder, "all.cpp"), join(folder, "all")];
    await writeFile(path, source);
    const here = fileURLToPath(new URL(".", import.meta.url));
    await execute("g++", ["-std=c++17", "-O1", "-ffp-contract=off", `-I${here}`, path, "-o", program]);
    const { stdout } = await execute(program, [], { encoding: "buffer", maxBuffer: 2 ** 26 });
    return new Float32Array(Uint8Array.from(stdout).buffer);
  } finally {
    await rm(folder, { recursive: true });
  }
}
