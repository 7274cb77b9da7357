// What it takes to calibrate a large output head: time and memory. Weights are random, so recall says nothing about a model.
// Usage: npm run bench:calibrate -- ROWS INPUTS [options of hirec calibrate]
//
// Row r of the weights is g · s, with g standard normal per element and s_j = (1 + j)^-1/4: columns of falling size. A token
// is a sum of such a vector and of eight rows, drawn at random, times 0.3 each, so that some rows stand out.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "hirec/runtime/node";

const [rows = 32_000, inputs = 2048] = process.argv.slice(2, 4).map(Number);
const options = process.argv.slice(4);
const TOKENS = 1024;
const [STANDING_OUT, PART] = [8, 0.3];

const folder = await mkdtemp(join(tmpdir(), "hirec-calibrate-"));
try {
  await writeFile(join(folder, "large.hire.ts"), spec());
  await writeLayer();
  await calibrate();
} finally {
  await rm(folder, { recursive: true });
}

function spec(): string {
  return `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("large", {
  head: softmax({
    inputs: ${inputs}, rows: ${rows}, dtype: "bf16", weight: "w",
    estimator: quantized({ bits: 4 }), k: 32, candidates: 128, batch: 1,
  }),
});
`;
}

async function writeLayer(): Promise<void> {
  const normal = normals(1);
  const sizes = Float32Array.from({ length: inputs }, (_, j) => (1 + j) ** -0.25);
  const words = new Uint16Array(rows * inputs);
  const bits = new Uint32Array(1);
  const number = new Float32Array(bits.buffer);
  for (let i = 0; i < words.length; i++) {
    number[0] = normal() * sizes[i % inputs]!;
    words[i] = bits[0]! >>> 16;
  }
  const at = (row: number, column: number) => {
    bits[0] = words[row * inputs + column]! << 16;
    return number[0]!;
  };
  const tokens = new Float32Array(TOKENS * inputs);
  for (let token = 0; token < TOKENS; token++) {
    const chosen = Array.from({ length: STANDING_OUT }, (_, i) => (token * 7919 + i * 104_729) % rows);
    for (let j = 0; j < inputs; j++) {
      const own = chosen.reduce((sum, row) => sum + PART * at(row, j), 0);
      tokens[token * inputs + j] = normal() * sizes[j]! + own;
    }
  }
  const write = (
    file: string,
    name: string,
    dtype: "BF16" | "F32",
    shape: number[],
    data: Uint16Array | Float32Array,
  ) =>
    writeSafetensors(
      join(folder, file),
      [{ name, dtype, shape, bytes: () => new Uint8Array(data.buffer) }],
      {},
      "HIRE-RUN-009",
    );
  await write("w.safetensors", "w", "BF16", [rows, inputs], words);
  await write("x.safetensors", "head.input", "F32", [TOKENS, inputs], tokens);
}

/** In a process of its own, whose memory is that of the calibration. */
async function calibrate(): Promise<void> {
  const cli = fileURLToPath(new URL("../dist/compiler/cli/main.js", import.meta.url));
  const files = ["--weights", "w.safetensors", "--activations", "x.safetensors"];
  const child = spawn(
    process.execPath,
    [cli, "calibrate", "large.hire.ts", ...files, "--fresh", "--dry-run", ...options],
    {
      cwd: folder,
      stdio: "inherit",
    },
  );
  await new Promise((resolve) => child.on("exit", resolve));
}

/** Standard normal numbers after Box and Muller, from Tommy Ettinger's mulberry32. */
function normals(seed: number): () => number {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
