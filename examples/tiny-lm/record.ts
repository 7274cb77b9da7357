// Records the true inputs of tiny-lm's layers on held-out text, as `hirec run`, `calibrate`, `evaluate` and `pack --activations`
// read them. Usage: npm run record -- FILE [POSITIONS [SHIFT]]; another shift records other windows of the text.

import { fileURLToPath } from "node:url";
import { recordActivations } from "./record-activations.ts";

const [file, positions = "256", shift = "0"] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: npm run record -- FILE [POSITIONS [SHIFT]]");

const folder = fileURLToPath(new URL(".", import.meta.url));
const shape = await recordActivations(folder, Number(positions), file, Number(shift));
console.log(`${file}: head.input, mlp0.input, mlp1.input and mlp2.input, F32 [${shape.join(", ")}]`);
