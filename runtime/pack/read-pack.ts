// A pack: one safetensors file whose tensors lie as a plan wants them, and whose metadata says which plan.

import { HireError } from "../errors.ts";
import type { WeightSource } from "../layer.ts";
import { PLAN_FORMAT, type Plan } from "../plan.ts";
import { headerLength, PREFIX_BYTES, parseHeader, type SafetensorsHeader } from "../safetensors.ts";

/** The metadata that a pack carries. */
export function packMetadata({ model, packHash }: Plan): Record<string, string> {
  return { hirec_format: String(PLAN_FORMAT), hirec_model: model, hirec_pack: packHash };
}

/**
 * Checks that a safetensors file was packed for this plan, and holds all of it.
 * @throws HireError HIRE-PACK-006 when it is not a pack or was made for another plan, HIRE-PACK-007 for another version.
 */
export function checkPack({ metadata, tensors }: SafetensorsHeader, plan: Plan, from: string): void {
  const again = `Pack again: hirec pack MODULE --weights FILE --out ${from}`;
  const refuse = (code: string, message: string) => new HireError({ code, message, fix: again });
  if (metadata.hirec_pack === undefined) throw refuse("HIRE-PACK-006", `${from} was not made by hirec pack`);
  if (metadata.hirec_format !== String(PLAN_FORMAT)) {
    throw refuse(
      "HIRE-PACK-007",
      `${from} has pack format ${metadata.hirec_format}, but this hirec reads ${PLAN_FORMAT}`,
    );
  }
  if (metadata.hirec_pack !== plan.packHash) {
    const other =
      metadata.hirec_model === plan.model ? "another version of its spec" : `model "${metadata.hirec_model}"`;
    throw refuse("HIRE-PACK-006", `${from} was packed for ${other}, not for this plan of "${plan.model}"`);
  }
  for (const tensor of Object.values(plan.layers).flatMap((layer) => layer.tensors)) {
    const found = tensors.get(tensor.name);
    if (found?.dtype !== tensor.dtype || String(found.shape) !== String(tensor.shape)) {
      throw refuse("HIRE-PACK-006", `${from} lacks tensor "${tensor.name}" ${tensor.dtype} [${tensor.shape}]`);
    }
  }
}

/**
 * A pack that is already in memory, as a browser has it after a download.
 * @throws HireError HIRE-PACK-002, -006 and -007.
 */
export function readPack(bytes: Uint8Array, plan: Plan, from = "The pack"): WeightSource {
  const prefix = bytes.subarray(0, PREFIX_BYTES);
  const end = PREFIX_BYTES + headerLength(prefix, bytes.byteLength, from);
  const header = parseHeader(bytes.subarray(PREFIX_BYTES, end), bytes.byteLength, from);
  checkPack(header, plan, from);
  return ({ name }) => {
    const tensor = header.tensors.get(name)!;
    return bytes.subarray(tensor.begin, tensor.end);
  };
}
