// Records the true inputs of tiny-lm's head on held-out text, as `hirec run` reads them.
// Usage: npx tsx examples/tiny-lm/record.ts FILE [POSITIONS]

import { fileURLToPath } from "node:url";
import { writeSafetensors } from "hirec/runtime/node";
import { loadDecoder } from "./decoder.ts";
import { heldOut } from "./held-out.ts";

const [file, positions = "256"] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: npx tsx examples/tiny-lm/record.ts FILE [POSITIONS]");

const folder = fileURLToPath(new URL(".", import.meta.url));
const decoder = await loadDecoder(folder);
const { inputs } = await heldOut(folder, Number(positions), decoder);
const shape = [Number(positions), decoder.embedding.inputs];
const bytes = () => new Uint8Array(inputs.buffer, inputs.byteOffset, inputs.byteLength);
await writeSafetensors(file, [{ name: "head.input", dtype: "F32", shape, bytes }], {}, "HIRE-RUN-009");
console.log(`${file}: head.input F32 [${shape.join(", ")}]`);
