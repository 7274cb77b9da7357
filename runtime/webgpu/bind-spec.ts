// A spec that a bundler imported: the plugin has put the compiled model in its place, and the types are those of the spec
// itself. So nothing is generated that could be out of date, and an editor knows a new layer before anything is compiled.

import type { Ffn, Greedy, Layer, Model, Softmax } from "../../dsl/index.ts";
import { HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import type { CompiledParts, LoadOptions } from "../model.ts";
import { asPlan, type FfnPlan, type Plan, type SoftmaxPlan } from "../plan.ts";
import {
  type FfnShape,
  type LayerShapes,
  loadTyped,
  type SoftmaxShape,
  type TypedModel,
  type TypedOptions,
} from "./typed-model.ts";

/** Layer names and shapes of a spec, as typed loaders take them. What the spec does not write as a literal is not known. */
export type ShapesOf<Spec extends Model> = {
  readonly [Name in keyof Spec["options"]["layers"] & string]: ShapeOf<Spec["options"]["layers"][Name]>;
};

type ShapeOf<Each extends Layer> =
  Each extends Ffn<infer Known>
    ? Known extends KnownFfn
      ? FfnShapeOf<Known>
      : FfnShape
    : Each extends Softmax<infer Known>
      ? Known extends KnownSoftmax
        ? SoftmaxShapeOf<Known>
        : SoftmaxShape
      : never;

type KnownSoftmax = Pick<SoftmaxPlan, "inputs" | "rows" | "k" | "dtype" | "batch"> &
  Readonly<Record<"certify" | "mask" | "logSumExp" | "sample", unknown>>;

/** What a layer has beyond its k best rows is known only where the spec says `true`, or names it. */
type SoftmaxShapeOf<Known extends KnownSoftmax> = Pick<Known, "inputs" | "rows" | "k" | "dtype" | "batch"> & {
  readonly kind: "softmax";
} & (Known["certify"] extends "report" | "fallback" ? { readonly certify: Known["certify"] } : unknown) &
  (Known["mask"] extends true ? { readonly mask: true } : unknown) &
  (Known["logSumExp"] extends true ? { readonly logSumExp: "all" | "candidates" | "estimates" } : unknown) &
  (Known["sample"] extends object
    ? { readonly sampler: Known["sample"] extends Greedy ? "greedy" : "multinomial" }
    : unknown);

type KnownFfn = Pick<FfnPlan, "inputs" | "outputs" | "k" | "dtype" | "batch"> & { readonly hidden: number };

type FfnShapeOf<Known extends KnownFfn> = Pick<Known, "inputs" | "outputs" | "dtype" | "batch"> & {
  readonly kind: "ffn";
  readonly rows: Known["hidden"];
  /** A share of the groups becomes a number of them. */
  readonly k: `${Known["k"]}` extends `0.${string}` ? number : Known["k"];
};

export interface BoundSpec<Shapes extends LayerShapes> extends CompiledParts {
  readonly plan: Plan;
  /** Loads the model, or some layers of it, onto a device that the caller owns. @throws what `loadModel` throws. */
  load<Name extends keyof Shapes & string = keyof Shapes & string>(
    device: GPUDevice,
    weights: WeightSource | Uint8Array,
    options?: TypedOptions<Name, string>,
  ): Promise<TypedModel<Pick<Shapes, Name>>>;
}

/**
 * The compiled model of a spec that was imported with `hirec/vite`, or another plugin of `hirec/unplugin`.
 * @throws HireError HIRE-RUN-023 when the spec itself was imported, HIRE-PLAN-005 when the plugin is of another version.
 */
export function bindSpec<Spec extends Model>(spec: Spec): BoundSpec<ShapesOf<Spec>> {
  const { plan: compiled, sources } = spec as unknown as Partial<CompiledParts>;
  if (!compiled || !sources) {
    throw new HireError({
      code: "HIRE-RUN-023",
      message: "The spec was imported as it is, and not compiled",
      fix: "Add the plugin of hirec/vite to the bundler's configuration, and let the name of the spec's file end in .hire.ts",
    });
  }
  const plan = asPlan(compiled, "The imported spec");
  const load = (device: GPUDevice, weights: WeightSource | Uint8Array, options?: LoadOptions) =>
    loadTyped(device, { plan, sources }, weights, options);
  return { plan, sources, load: load as never };
}
