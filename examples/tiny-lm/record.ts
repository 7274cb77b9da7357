// Records the true inputs of tiny-lm's layers on held-out text, as `hirec run` and `hirec pack --activations` read them.
// Usage: npx tsx examples/tiny-lm/record.ts FILE [POSITIONS]

import { fileURLToPath } from "node:url";
import { recordActivations } from "./record-activations.ts";

const [file, positions = "256"] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: npx tsx examples/tiny-lm/record.ts FILE [POSITIONS]");

const folder = fileURLToPath(new URL(".", import.meta.url));
const shape = await recordActivations(folder, Number(positions), file);
console.log(`${file}: head.input, mlp0.input, mlp1.input and mlp2.input, F32 [${shape.join(", ")}]`);
