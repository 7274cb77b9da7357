// tiny-lm's shapes and weights, out of model.safetensors (Hugging Face Llama names), wherever that lies.

import type { SafetensorsHeader, TensorInfo } from "../../runtime/safetensors.ts";

/** A safetensors file whose header has been read. */
export interface WeightsFile extends Pick<SafetensorsHeader, "tensors"> {
  /** What messages call it. */
  readonly path: string;
  read(tensor: TensorInfo): Promise<Uint8Array<ArrayBuffer>>;
}

/** The entries of config.json that the decoder needs, under their names there. */
export interface Config {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly ffn_group_size: number;
  readonly ffn_top_groups: number;
  /** Mean loss in nats over the held-out text, measured in training before the weights were rounded to bf16. */
  readonly validation_loss_top_groups: number;
}

/** Every matrix but `down` is f32 row-major [outputs, inputs]; the norms are [hidden_size]. */
export interface LayerWeights {
  readonly attentionNorm: Float32Array;
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
  readonly output: Float32Array;
  readonly feedForwardNorm: Float32Array;
  /** [intermediate_size, hidden_size], as `up`. */
  readonly gate: Float32Array;
  readonly up: Float32Array;
  /**
   * [intermediate_size, hidden_size], so inputs first: what a neuron adds to the output lies together, and the
   * feed-forward skips most neurons.
   */
  readonly down: Float32Array;
}

export interface Weights {
  readonly config: Config;
  /** [vocab_size, hidden_size]; the output head has the same weights. */
  readonly embedding: Float32Array;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Float32Array;
}

/**
 * Reads the model and widens its weights from bf16 to f32, which is exact.
 * @param file model.safetensors.
 * @throws Error when it lacks a tensor or holds another dtype or size.
 */
export async function readWeights(config: Config, file: WeightsFile): Promise<Weights> {
  const { hidden_size: hidden, vocab_size: vocabulary } = config;
  const layers: LayerWeights[] = [];
  for (let i = 0; i < config.num_hidden_layers; i++) layers.push(await readLayer(file, config, i));
  return {
    config,
    embedding: await readTensor(file, "model.embed_tokens.weight", [vocabulary, hidden]),
    layers,
    finalNorm: await readTensor(file, "model.norm.weight", [hidden]),
  };
}

async function readLayer(file: WeightsFile, config: Config, index: number): Promise<LayerWeights> {
  const { hidden_size: hidden, intermediate_size: neurons } = config;
  const read = (name: string, shape: number[]) => readTensor(file, `model.layers.${index}.${name}.weight`, shape);
  return {
    attentionNorm: await read("input_layernorm", [hidden]),
    query: await read("self_attn.q_proj", [hidden, hidden]),
    key: await read("self_attn.k_proj", [hidden, hidden]),
    value: await read("self_attn.v_proj", [hidden, hidden]),
    output: await read("self_attn.o_proj", [hidden, hidden]),
    feedForwardNorm: await read("post_attention_layernorm", [hidden]),
    gate: await read("mlp.gate_proj", [neurons, hidden]),
    up: await read("mlp.up_proj", [neurons, hidden]),
    down: transpose(await read("mlp.down_proj", [hidden, neurons]), neurons),
  };
}

async function readTensor(file: WeightsFile, name: string, shape: number[]): Promise<Float32Array> {
  const tensor = file.tensors.get(name);
  if (tensor?.dtype !== "BF16" || tensor.shape.join() !== shape.join()) {
    const found = tensor ? `${tensor.dtype} [${tensor.shape}]` : "nothing of that name";
    throw new Error(`${file.path}: tensor "${name}" should be BF16 [${shape}], but there is ${found}`);
  }
  return widen(await file.read(tensor));
}

/** bf16 is the upper half of an f32. The file is little-endian, as is every machine that browsers run on, and Node's but s390x. */
function widen(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

function transpose(matrix: Float32Array, columns: number): Float32Array {
  const rows = matrix.length / columns;
  return matrix.map((_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!);
}
