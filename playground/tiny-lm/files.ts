// tiny-lm's files, fetched from beside the page.

import configFile from "../../examples/tiny-lm/config.json" with { type: "json" };
import modelUrl from "../../examples/tiny-lm/model.safetensors?url";
import tokenizerUrl from "../../examples/tiny-lm/tokenizer.json?url";
import { createTokenizer, type Tokenizer } from "../../examples/tiny-lm/tokenizer.ts";
import textUrl from "../../examples/tiny-lm/validation.txt?url";
import type { Config, WeightsFile } from "../../examples/tiny-lm/weights.ts";
import { HireError, reasonOf } from "../../runtime/errors.ts";
import { type WeightTensor, weightTensors } from "../../runtime/pack/weight-tensors.ts";
import type { LayerPlan } from "../../runtime/plan.ts";
import { headerLength, PREFIX_BYTES, parseHeader } from "../../runtime/safetensors.ts";

export const config: Config = configFile;

/** Little-endian numbers of a layer's dtype, by role. */
export type LayerWeights = Readonly<Partial<Record<WeightTensor["role"], Uint8Array>>>;

/**
 * @param onShare called with the share of the 10.5 MB that has arrived.
 * @throws HireError HIRE-RUN-026 when it cannot be fetched, HIRE-PACK-002 when it is broken.
 */
export async function fetchWeights(onShare: (share: number) => void): Promise<WeightsFile> {
  const path = "model.safetensors";
  const bytes = await fetchBytes(path, modelUrl, onShare);
  const end = PREFIX_BYTES + headerLength(bytes.subarray(0, PREFIX_BYTES), bytes.byteLength, path);
  const { tensors } = parseHeader(bytes.subarray(PREFIX_BYTES, end), bytes.byteLength, path);
  // Copies, which begin where numbers may begin.
  return { path, tensors, read: async ({ begin, end }) => bytes.slice(begin, end) };
}

/** What a layer of tiny-lm is packed from, by role. @param file as `fetchWeights` gives it. */
export async function weightsOf(layer: LayerPlan, file: WeightsFile): Promise<LayerWeights> {
  const weights: Partial<Record<WeightTensor["role"], Uint8Array>> = {};
  for (const { role, name } of weightTensors(layer)) weights[role] = await file.read(file.tensors.get(name)!);
  return weights;
}

/** @throws HireError HIRE-RUN-026. */
export async function fetchTokenizer(): Promise<Tokenizer> {
  return createTokenizer(JSON.parse(await fetchText("tokenizer.json", tokenizerUrl)));
}

/** Held-out text, passage by passage. @throws HireError HIRE-RUN-026. */
export async function fetchPassages(): Promise<readonly string[]> {
  return (await fetchText("validation.txt", textUrl)).split("\n\n");
}

async function fetchText(name: string, url: string): Promise<string> {
  return new TextDecoder().decode(await fetchBytes(name, url));
}

async function fetchBytes(name: string, url: string, onShare?: (share: number) => void) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    const total = Number(response.headers.get("content-length"));
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let loaded = 0;
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      loaded += value.byteLength;
      // Of what is compressed, the length says less than what arrives.
      if (total > 0) onShare?.(Math.min(1, loaded / total));
    }
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
  } catch (thrown) {
    throw new HireError({
      code: "HIRE-RUN-026",
      message: `${name} cannot be fetched from beside the page: ${reasonOf(thrown)}`,
      fix: "Check the connection and try again; whoever hosts the page uploads all files of the build",
    });
  }
}
