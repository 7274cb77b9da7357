// A model: a name and its layers, the default export of a spec.

import { type Built, builder, type CallNumber } from "./built.ts";
import type { Layer } from "./layers.ts";

export interface ModelOptions {
  readonly name: string;
  readonly layers: Readonly<Record<string, Layer>>;
}

export type Model = Built<"model", ModelOptions>;

const buildModel = builder<"model", ModelOptions>("model") as (options: ModelOptions, number?: CallNumber) => Model;

/**
 * Names a model and its layers. A spec file exports the result as its default.
 * @param name the folder of the compiled output: lower-case letters, digits, dots and dashes.
 * @param layers by name; a layer's name becomes part of file, kernel and tensor names.
 */
export const defineModel: (name: string, layers: Readonly<Record<string, Layer>>) => Model = (
  name,
  layers,
  ...[number]: readonly unknown[]
) => buildModel({ name, layers }, number as CallNumber | undefined);
