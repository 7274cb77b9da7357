// A compiled model whose layers, shapes and profiles are types. `hirec compile` writes an index.ts per model that binds
// these to the model's own names and numbers.

import { HireError } from "../errors.ts";
import type { SoftmaxInputs } from "../inputs.ts";
import type { FfnResult, WeightSource } from "../layer.ts";
import type { FloatSoftmaxResult } from "../layer-data.ts";
import type { CompiledParts, LoadOptions } from "../model.ts";
import { readPack } from "../pack/read-pack.ts";
import { asPlan, type BufferPlan, type FfnPlan, type Plan, type SoftmaxPlan } from "../plan.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { FfnBuffers, GpuFfn } from "./ffn.ts";
import { loadModel } from "./model.ts";
import { pickProgram } from "./program.ts";
import type { GpuSoftmax, SoftmaxBuffers } from "./softmax.ts";

/** What the types know of a softmax layer; what it does without is absent. */
export interface SoftmaxShape
  extends Pick<SoftmaxPlan, "kind" | "inputs" | "rows" | "dtype" | "k" | "batch" | "mask" | "logSumExp" | "sampler"> {
  readonly certify?: "report" | "fallback";
}

/** What a layer has only when its shape says so. */
type Where<Shape, Option, Properties> = Shape extends Option ? Properties : unknown;
type Certified = { readonly certify: string };
type Masked = { readonly mask: true };
type Summed = { readonly logSumExp: string };
type Sampled = { readonly sampler: string };
type Drawn = { readonly sampler: "multinomial" };

/** What the types know of a feed-forward; `rows` are its neurons. */
export type FfnShape = Pick<FfnPlan, "kind" | "inputs" | "rows" | "outputs" | "dtype" | "k" | "batch">;

export type LayerShapes = Readonly<Record<string, SoftmaxShape | FfnShape>>;

declare const contents: unique symbol;

/**
 * A buffer that is known to hold elements of one type in one shape; `bits` are those of `maskBits`. A plain `GPUBuffer` may
 * stand for it; one that is known to hold something else does not compile.
 */
export type BufferOf<Element extends "f32" | "u32" | "bits", Shape extends readonly number[]> = GPUBuffer & {
  readonly [contents]?: readonly [Element, Shape];
};

/** The caller's buffers of one launch. */
export type TypedBuffers<Shape extends SoftmaxShape> = Pick<SoftmaxBuffers, "x" | "indices" | "values"> & {
  readonly x: BufferOf<"f32", readonly [Shape["batch"], Shape["inputs"]]>;
  readonly indices: BufferOf<"u32", readonly [Shape["batch"], Shape["k"]]>;
  readonly values: BufferOf<"f32", readonly [Shape["batch"], Shape["k"]]>;
} & Where<Shape, Certified, { readonly certified: BufferOf<"u32", readonly [Shape["batch"]]> }> &
  Where<Shape, Masked, { readonly mask: BufferOf<"bits", readonly [Shape["rows"]]> }> &
  Where<Shape, Drawn, { readonly uniforms: BufferOf<"f32", readonly [Shape["batch"]]> }> &
  Where<Shape, Summed, { readonly lse: BufferOf<"f32", readonly [Shape["batch"]]> }> &
  Where<Shape, Sampled, { readonly sampled: BufferOf<"u32", readonly [Shape["batch"]]> }>;

/** The best rows of each token, as `[tokens, k]`, and what else the layer gives for each, as `[tokens]`. */
export type TypedResult<Shape extends SoftmaxShape> = Pick<FloatSoftmaxResult, "indices" | "values"> & {
  readonly tokens: number;
  readonly k: Shape["k"];
} & Where<Shape, Certified, { readonly certified: Uint8Array }> &
  Where<Shape, Summed, { readonly lse: Float32Array }> &
  Where<Shape, Sampled, { readonly sampled: Uint32Array }>;

/** What the layer takes besides tokens: numbers to draw by wherever it does, a mask where it has one, or nothing. */
export type TypedInputs<Shape extends SoftmaxShape> = Where<Shape, Masked, Pick<SoftmaxInputs, "mask">> &
  Where<Shape, Drawn, Required<Pick<SoftmaxInputs, "uniforms">>>;

/** The same as an argument that is there only for layers that have a use for it. */
type InputArguments<Shape extends SoftmaxShape> = Shape extends Drawn
  ? [inputs: TypedInputs<Shape>]
  : Shape extends Masked
    ? [inputs?: TypedInputs<Shape>]
    : [];

export interface TypedSoftmax<Shape extends SoftmaxShape> extends Pick<GpuSoftmax, "destroy"> {
  readonly plan: SoftmaxPlan & Shape;
  /** As `GpuSoftmax.encode`: one launch of `batch` tokens on the caller's buffers. */
  encode(encoder: GPUCommandEncoder, buffers: TypedBuffers<Shape>): void;
  /** As `GpuSoftmax.run`: any number of tokens, `x` is `[tokens, inputs]`. */
  run(x: Float32Array, ...inputs: InputArguments<Shape>): Promise<TypedResult<Shape>>;
  /** Buffers of the size that `encode` needs, for storage and copies; they are the caller's to destroy. */
  createBuffers(): TypedBuffers<Shape>;
}

/** The caller's buffers of one launch of a feed-forward. */
export interface TypedFfnBuffers<Shape extends FfnShape> extends FfnBuffers {
  readonly x: BufferOf<"f32", readonly [Shape["batch"], Shape["inputs"]]>;
  readonly output: BufferOf<"f32", readonly [Shape["batch"], Shape["outputs"]]>;
  readonly groups: BufferOf<"u32", readonly [Shape["batch"], Shape["k"]]>;
}

/** What a feed-forward makes of each token, as `[tokens, outputs]`, and the groups that it took, as `[tokens, k]`. */
export interface TypedFfnResult<Shape extends FfnShape> extends FfnResult {
  readonly tokens: number;
  readonly outputs: Shape["outputs"];
  readonly k: Shape["k"];
}

export interface TypedFfn<Shape extends FfnShape> extends Pick<GpuFfn, "destroy"> {
  readonly plan: FfnPlan & Shape;
  /** As `GpuFfn.encode`: one launch of `batch` tokens on the caller's buffers. */
  encode(encoder: GPUCommandEncoder, buffers: TypedFfnBuffers<Shape>): void;
  /** As `GpuFfn.run`: any number of tokens, `x` is `[tokens, inputs]`. */
  run(x: Float32Array): Promise<TypedFfnResult<Shape>>;
  /** Buffers of the size that `encode` needs, for storage and copies; they are the caller's to destroy. */
  createBuffers(): TypedFfnBuffers<Shape>;
}

export type TypedLayer<Shape> = Shape extends FfnShape
  ? TypedFfn<Shape>
  : Shape extends SoftmaxShape
    ? TypedSoftmax<Shape>
    : never;

export interface TypedModel<Shapes extends LayerShapes> {
  /** The device profile whose kernels run. */
  readonly profile: string;
  readonly layers: { readonly [Name in keyof Shapes]: TypedLayer<Shapes[Name]> };
  /** Frees every buffer that the model owns; the device stays the caller's. */
  destroy(): void;
}

export interface TypedOptions<Name extends string, Profile extends string> {
  /** Runs this profile instead of the best that the device supports. */
  readonly profile?: Profile;
  /** Loads only these layers. */
  readonly layers?: readonly Name[];
}

/**
 * Loads the model onto a device that the caller owns.
 * @param compiled in Node, what `readCompiledFolder` gives; in a bundle, plan.json and the sources as texts.
 * @param weights a pack in memory, or a source of packed tensors such as `openPack` gives.
 * @throws HireError HIRE-RUN-010 when `compiled` was made from another spec, and what `loadModel` throws.
 */
export type TypedLoader<Shapes extends LayerShapes, Profile extends string> = <
  Name extends keyof Shapes & string = keyof Shapes & string,
>(
  device: GPUDevice,
  compiled: CompiledParts,
  weights: WeightSource | Uint8Array,
  options?: TypedOptions<Name, Profile>,
) => Promise<TypedModel<Pick<Shapes, Name>>>;

/** A loader of the model whose layers have these names and shapes. */
export function typedLoader<const Shapes extends LayerShapes, Profile extends string>(
  shapes: Shapes,
): TypedLoader<Shapes, Profile> {
  return async (device, compiled, weights, { profile, layers = Object.keys(shapes) } = {}) => {
    const plan = asPlan(compiled.plan, "The plan");
    refuseOther(plan, shapes);
    return loadTyped(device, { ...compiled, plan }, weights, { ...(profile && { profile }), layers }) as never;
  };
}

/** Loads a model whose types the caller knows. */
export async function loadTyped(
  device: GPUDevice,
  compiled: CompiledParts & { readonly plan: Plan },
  weights: WeightSource | Uint8Array,
  options: LoadOptions = {},
): Promise<TypedModel<LayerShapes>> {
  const { plan } = compiled;
  const { profile, layers: programs } = pickProgram(plan, device, options.profile);
  const source = weights instanceof Uint8Array ? readPack(weights, plan) : weights;
  const model = await loadModel(device, compiled, source, { ...options, profile });
  const typed = Object.entries(model.layers).map(([name, layer]) => [
    name,
    layer.kind === "softmax"
      ? typedSoftmax(device, name, layer, programs[name]!.buffers)
      : typedFfn(device, name, layer, programs[name]!.buffers),
  ]);
  return { profile, layers: Object.fromEntries(typed), destroy: model.destroy };
}

/** @throws HireError HIRE-RUN-010 naming the first layer and property that differ. */
function refuseOther(plan: Plan, shapes: LayerShapes): void {
  const difference = findDifference(plan, shapes);
  if (difference === undefined) return;
  throw new HireError({
    code: "HIRE-RUN-010",
    message: `The plan of "${plan.model}" is not the one that these bindings were compiled with: ${difference}`,
    fix: "Take plan, sources and index.ts from the same compiled folder; compile again when in doubt",
  });
}

function findDifference({ layers }: Plan, shapes: LayerShapes): string | undefined {
  const [found, expected] = [layers, shapes].map((each) => Object.keys(each).sort().join(", "));
  if (found !== expected) return `its layers are ${found}, not ${expected}`;
  for (const [name, shape] of Object.entries(shapes)) {
    const { certificate, ...layer } = layers[name]!;
    const planned = new Map(Object.entries({ ...layer, certify: certificate?.kind }));
    const stated = new Map(Object.entries(shape));
    for (const property of [...stated.keys(), "certify", "mask", "logSumExp", "sampler"]) {
      const [is, said] = [planned, stated].map((each) => each.get(property) ?? "absent");
      if (is !== said) return `${property} of layer "${name}" is ${is}, not ${said}`;
    }
  }
  return undefined;
}

/** Creates the buffers that a launch takes from its caller, by name. */
function createBuffers(device: GPUDevice, layer: string, planned: readonly BufferPlan[]): Record<string, GPUBuffer> {
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
  const external = planned.filter(({ role }) => role === "input" || role === "output");
  return Object.fromEntries(
    external.map(({ name, bytes }) => [name, device.createBuffer({ label: `${layer}.${name}`, size: bytes, usage })]),
  );
}

function typedSoftmax(
  device: GPUDevice,
  name: string,
  { plan, encode, run, destroy }: GpuSoftmax,
  buffers: readonly BufferPlan[],
) {
  const { k, inputs } = plan;
  return {
    plan,
    encode,
    run: async (x: Float32Array, taken?: SoftmaxInputs) => ({ ...(await run(x, taken)), tokens: x.length / inputs, k }),
    createBuffers: () => createBuffers(device, name, buffers),
    destroy,
  };
}

function typedFfn(
  device: GPUDevice,
  name: string,
  { plan, encode, run, destroy }: GpuFfn,
  buffers: readonly BufferPlan[],
) {
  const { k, inputs, outputs } = plan;
  return {
    plan,
    encode,
    run: async (x: Float32Array) => ({ ...(await run(x)), tokens: x.length / inputs, outputs, k }),
    createBuffers: () => createBuffers(device, name, buffers),
    destroy,
  };
}
