// A model: a name and its layers, the default export of a spec.

import { type Built, builder, type CallNumber } from "./built.ts";
import type { Layer } from "./layers.ts";

type Layers = Readonly<Record<string, Layer>>;

export interface ModelOptions<Named extends Layers = Layers> {
  readonly name: string;
  readonly layers: Named;
}

/** Its type knows the names and the shapes of its layers, as far as the spec writes them as literals. */
export type Model<Named extends Layers = Layers> = Built<"model", ModelOptions<Named>>;

const buildModel = builder<"model", ModelOptions>("model") as (options: ModelOptions, number?: CallNumber) => Model;

/**
 * Names a model and its layers. A spec file exports the result as its default.
 * @param name the folder of the compiled output: lower-case letters, digits, dots and dashes.
 * @param layers by name; a layer's name becomes part of file, kernel and tensor names.
 */
export const defineModel: <Named extends Layers>(name: string, layers: Named) => Model<Named> = <Named extends Layers>(
  name: string,
  layers: Named,
  ...[number]: readonly unknown[]
) => buildModel({ name, layers }, number as CallNumber | undefined) as Model<Named>;
