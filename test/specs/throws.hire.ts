// expect HIRE-SPEC-004 at 5:9: The spec threw: layers.json is empty
import { defineModel } from "hirec";

function readLayers(): never {
  throw new Error("layers.json is empty");
}

export default defineModel("throws", readLayers());
