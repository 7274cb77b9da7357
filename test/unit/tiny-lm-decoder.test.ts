// The decoder of examples/tiny-lm against PyTorch: test/fixtures/tiny-lm-reference.safetensors holds, for the first 8
// windows of 128 held-out tokens, what PyTorch computed in f32 from the same weights.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { attend, emptyCache, rotaryTable } from "../../examples/tiny-lm/attention.ts";
import type { Decoder } from "../../examples/tiny-lm/decoder.ts";
import { feedForward } from "../../examples/tiny-lm/feed-forward.ts";
import { exactHead, generate } from "../../examples/tiny-lm/generate.ts";
import { type HeldOut, heldOut, heldOutTokens } from "../../examples/tiny-lm/held-out.ts";
import { loadDecoder, loadTokenizer, loadWeights } from "../../examples/tiny-lm/load.ts";
import { project } from "../../examples/tiny-lm/projection.ts";
import { rmsNorm } from "../../examples/tiny-lm/rms-norm.ts";
import { openSafetensors } from "../../runtime/node/safetensors-file.ts";

const FOLDER = fileURLToPath(new URL("../../examples/tiny-lm", import.meta.url));
const REFERENCE = fileURLToPath(new URL("../fixtures/tiny-lm-reference.safetensors", import.meta.url));
const [POSITIONS, WINDOW, INPUTS] = [1024, 128, 256];

/**
 * The largest distance between a vector of ours and PyTorch's, relative to its length. We sum in f64, so the difference
 * is PyTorch's rounding: a sum of 1024 terms in f32 is off by about sqrt(1024) * 2^-25 = 1e-6 of its scale, and about
 * twelve such sums lie in a row, independent of each other: sqrt(12) * 1e-6 = 3.3e-6. Measured: 7.2e-7 at worst.
 *
 * Rounding could also flip a group whose score is next to the cut, which would change the vector by far more than this.
 * It does so in none of the 3 * 1024 selections of the reference, so no test makes an exception for it.
 */
const TOLERANCE = 4e-6;

let decoder: Decoder;
let text: Int32Array;
let referenceTokens: Int32Array;
let reference: (name: string) => Float32Array;

beforeAll(async () => {
  decoder = await loadDecoder(FOLDER);
  text = await heldOutTokens(FOLDER);
  const file = await openSafetensors(REFERENCE);
  const bytes = new Map<string, ArrayBuffer>();
  for (const tensor of file.tensors.values()) bytes.set(tensor.name, (await file.read(tensor)).buffer);
  await file.close();
  referenceTokens = new Int32Array(bytes.get("tokens")!);
  reference = (name) => new Float32Array(bytes.get(name)!);
});

test("the held-out text becomes the tokens that PyTorch was given", () => {
  expect(text.length).toBe(40_289);
  expect(text.slice(0, POSITIONS)).toEqual(referenceTokens);
});

test("decoding gives back what was encoded, spaces before punctuation and characters of several bytes too", async () => {
  const tokenizer = await loadTokenizer(FOLDER);
  const heldOutText = await readFile(join(FOLDER, "validation.txt"), "utf8");
  for (const written of [heldOutText, "", " ,hello .", "it 's , do n't", "  a\t b\n\n c \n", "é 漢字 🙂 <unk>"]) {
    expect(tokenizer.decode(tokenizer.encode(written))).toBe(written);
  }
});

test("the head's inputs are PyTorch's at every position", async () => {
  const expected = reference("head.input");
  const actual = new Float32Array(POSITIONS * INPUTS);
  for (let begin = 0; begin < POSITIONS; begin += WINDOW) {
    actual.set(await decoder.hidden(referenceTokens.subarray(begin, begin + WINDOW)), begin * INPUTS);
  }
  expect(rowsApart(actual, expected)).toEqual([]);
});

test("each layer's attention leads from PyTorch's residual stream to PyTorch's input of the feed-forward", async () => {
  const { config, layers, embedding } = await loadWeights(FOLDER);
  const rotary = rotaryTable(config);
  const inputs = layers.map((_, i) => reference(`mlp${i}.input`));
  const outputs = layers.map((_, i) => reference(`mlp${i}.output`));
  const actual = layers.map(() => new Float32Array(POSITIONS * INPUTS));
  for (let begin = 0; begin < POSITIONS; begin += WINDOW) {
    const caches = layers.map(() => emptyCache(config));
    for (let position = 0; position < WINDOW; position++) {
      const row = begin + position;
      let x = rowOf(embedding, referenceTokens[row]!);
      layers.forEach((layer, i) => {
        const normed = rmsNorm(x, layer.attentionNorm, config.rms_norm_eps);
        const attended = sum(x, attend(config, layer, rotary, caches[i]!, position, normed));
        actual[i]!.set(rmsNorm(attended, layer.feedForwardNorm, config.rms_norm_eps), row * INPUTS);
        // With PyTorch's output in place of ours, an error of one feed-forward cannot hide in the next layer.
        x = sum(attended, rowOf(outputs[i]!, row));
      });
    }
  }
  layers.forEach((_, i) => {
    expect(rowsApart(actual[i]!, inputs[i]!), `layer ${i}`).toEqual([]);
  });
});

test("each layer's feed-forward leads from PyTorch's inputs to PyTorch's outputs", async () => {
  const { config, layers } = await loadWeights(FOLDER);
  layers.forEach((layer, i) => {
    const inputs = reference(`mlp${i}.input`);
    const actual = new Float32Array(inputs.length);
    for (let row = 0; row < POSITIONS; row++) {
      actual.set(feedForward(config, layer, rowOf(inputs, row)), row * INPUTS);
    }
    expect(rowsApart(actual, reference(`mlp${i}.output`)), `layer ${i}`).toEqual([]);
  });
});

test("groups that tie with the last one kept are kept too", () => {
  // Four groups of one neuron each, with pre-activations 1, 2, 1, -1 for the input (1, 0); two groups are to be kept.
  const config = { hidden_size: 2, ffn_group_size: 1, ffn_top_groups: 2 } as Parameters<typeof feedForward>[0];
  const matrix = new Float32Array([1, 0, 2, 0, 1, 0, -1, 0]);
  // Neuron i adds 10^i times its activation to the first output.
  const down = new Float32Array([1, 0, 10, 0, 100, 0, 1000, 0]);
  const layer = { gate: matrix, up: matrix, down } as unknown as Parameters<typeof feedForward>[1];
  expect(Array.from(feedForward(config, layer, new Float32Array([1, 0])))).toEqual([1 + 40 + 100, 0]);
});

test("the exact head chooses the token with PyTorch's largest logit", async () => {
  const file = await openSafetensors(REFERENCE);
  const indices = new Int32Array((await file.read(file.tensors.get("head.indices")!)).buffer);
  await file.close();
  const head = exactHead(decoder.embedding);
  const inputs = reference("head.input");
  for (let row = 0; row < POSITIONS; row += 8) {
    expect(await head(rowOf(inputs, row)), `row ${row}`).toBe(indices[row * 32]);
  }
});

test("sessions that take turns each give what their whole window gives", async () => {
  const windows = [text.subarray(0, WINDOW), text.subarray(5000, 5000 + WINDOW)];
  const sessions = windows.map(() => decoder.session());
  const whole = await Promise.all(windows.map((window) => decoder.hidden(window)));
  for (let i = 0; i < WINDOW; i++) {
    for (const [s, session] of sessions.entries()) {
      expect(await session.push(windows[s]![i]!), `position ${i}`).toEqual(rowOf(whole[s]!, i));
    }
  }
});

test("a full session goes on as if the text had begun 64 tokens ago", async () => {
  const session = decoder.session();
  for (const token of text.subarray(0, 128)) await session.push(token);
  const restarted = await decoder.hidden(text.subarray(65, 130));
  expect(await session.push(text[128]!)).toEqual(rowOf(restarted, 63));
  expect(await session.push(text[129]!)).toEqual(rowOf(restarted, 64));
});

test("a window that is too long and a token outside the vocabulary are refused", async () => {
  await expect(decoder.hidden(text.subarray(0, 129))).rejects.toThrow("at most 128 tokens, not 129");
  for (const token of [-1, 8192, 1.5, Number.NaN]) {
    await expect(decoder.session().push(token)).rejects.toThrow(`token ${token} is not in the vocabulary`);
  }
});

test("the loss over held-out windows is that of training's validation", async () => {
  const { validation_loss_top_groups: expected } = (await loadWeights(FOLDER)).config;
  const windows = 16;
  const loss = meanLoss(await heldOut(FOLDER, windows * WINDOW, decoder));
  // The 314 windows have losses of standard deviation 0.48 around their mean, so 16 of them are within three standard
  // errors. Over all 314, measured once because it takes minutes, the loss is 3.3998 and training's 3.4000.
  expect(Math.abs(loss - expected)).toBeLessThan((3 * 0.48) / Math.sqrt(windows));
});

test("held-out positions are spread over the text, each with the token that follows", async () => {
  const positions = 2 * WINDOW + 3;
  const found = await heldOut(FOLDER, positions, decoder);
  // Three windows of 314: the last is cut after three positions.
  const begins = [0, 104 * WINDOW, 209 * WINDOW];
  for (let i = 0; i < positions; i++) {
    const at = begins[Math.floor(i / WINDOW)]! + (i % WINDOW);
    expect([found.tokens[i], found.next[i]]).toEqual([text[at], text[at + 1]]);
  }
  expect(found.inputs.length).toBe(positions * INPUTS);
  expect(found.inputs.slice(-3 * INPUTS)).toEqual(await decoder.hidden(found.tokens.slice(-3)));
  await expect(heldOut(FOLDER, 314 * WINDOW + 1, decoder)).rejects.toThrow("has 40192 positions");
});

test("generation gives the head the input after each token, its own choices among them", async () => {
  const prompt = text.subarray(0, 200);
  const inputs: Float32Array[] = [];
  const chosen: number[] = [];
  const head = (input: Float32Array) => {
    inputs.push(input);
    return Promise.resolve(100 + inputs.length);
  };
  for await (const token of generate(decoder, head, prompt)) if (chosen.push(token) === 2) break;
  expect(chosen).toEqual([101, 102]);
  // The prompt's last 128 tokens fill the context, so the first choice makes the session keep 63 of them.
  expect(inputs[0]).toEqual((await decoder.hidden(prompt.subarray(72))).slice(-INPUTS));
  expect(inputs[1]).toEqual((await decoder.hidden([...prompt.subarray(137), 101])).slice(-INPUTS));
  await expect(generate(decoder, head, []).next()).rejects.toThrow("the prompt has no token");
});

/** The rows further apart than the tolerance, as text, so that a failure shows how far. */
function rowsApart(actual: Float32Array, expected: Float32Array): string[] {
  const apart: string[] = [];
  for (let row = 0; row < expected.length / INPUTS; row++) {
    const [ours, theirs] = [rowOf(actual, row), rowOf(expected, row)];
    const distance = Math.hypot(...theirs.map((value, i) => value - ours[i]!)) / Math.hypot(...theirs);
    if (!(distance <= TOLERANCE)) apart.push(`row ${row} by ${distance}`);
  }
  return apart;
}

/** Mean of -log p(next), in nats, with the exact head. */
function meanLoss({ inputs, next }: HeldOut): number {
  let total = 0;
  next.forEach((token, i) => {
    const logits = project(decoder.embedding.data, rowOf(inputs, i));
    const largest = logits.reduce((a, b) => Math.max(a, b));
    total += largest - logits[token]! + Math.log(logits.reduce((powers, x) => powers + Math.exp(x - largest), 0));
  });
  return total / next.length;
}

function rowOf(matrix: Float32Array, row: number): Float32Array {
  return matrix.slice(row * INPUTS, (row + 1) * INPUTS);
}

function sum(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]!);
}
