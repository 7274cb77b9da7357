// expect HIRE-SPEC-020 at 34:5: A kernel cannot compute `for (let i = 0; i < 3; i++) sum += z;`: a kernel's function has no loops
// expect HIRE-SPEC-020 at 37:19: A kernel cannot compute `z | 1`: it works on the bits of an integer, and these are floats
// expect HIRE-SPEC-020 at 38:25: A kernel cannot compute `Math.random()`: kernels have no Math.random
// expect HIRE-SPEC-020 at 39:22: A kernel cannot compute `Math.imul(z, 2)`: kernels have no Math.imul
// expect HIRE-SPEC-020 at 40:26: A kernel cannot compute ``${z}``: it is text
// expect HIRE-SPEC-020 at 41:27: A kernel cannot compute `settings.cap`: it is "thirty", not a number
// expect HIRE-SPEC-020 at 28:47: A kernel cannot compute `again(z - 1)`: the function calls itself
// expect HIRE-SPEC-020 at 44:5: A kernel cannot compute `calls++`: nothing can be changed in a kernel's function
// expect HIRE-SPEC-020 at 47:25: A kernel cannot compute `z`: it is a number where a condition is needed
// expect HIRE-SPEC-020 at 49:5: A kernel cannot compute `z`: its value is not used
// expect HIRE-SPEC-020 at 48:16: A kernel cannot compute `(z: number) => { z; }`: it does not always return a value
// expect HIRE-SPEC-021 at 22:5: `activation` takes 2 parameters instead of one
// expect HIRE-SPEC-020 at 52:20: A kernel cannot compute `[z]`: a kernel's function makes no objects
// expect HIRE-SPEC-021 at 22:5: `activation` is a function whose text cannot be compiled
import { defineModel, ffn, quantized } from "hirec";

const of = (activation: (z: number) => number) =>
  ffn({
    inputs: 64,
    hidden: 64,
    weights: { gate: "g", up: "u", down: "d" },
    activation,
    estimator: quantized({ bits: 4 }),
    k: 2,
  });

const settings = { cap: "thirty" as unknown as number };
const again = (z: number): number => (z > 1 ? again(z - 1) : z);
let calls = 0;

export default defineModel("functions", {
  looped: of((z) => {
    let sum = 0;
    for (let i = 0; i < 3; i++) sum += z;
    return sum;
  }),
  bits: of((z) => z | 1),
  random: of((z) => z * Math.random()),
  unknown: of((z) => Math.imul(z, 2)),
  text: of((z) => Number(`${z}`)),
  captured: of((z) => z * settings.cap),
  recursive: of(again),
  counting: of((z) => {
    calls++;
    return z;
  }),
  condition: of((z) => (z ? 1 : 0)),
  nothing: of(((z: number) => {
    z;
  }) as never),
  two: of(((z: number, y: number) => z + y) as never),
  array: of((z) => [z][0]!),
  awaited: of((async (z: number) => z) as never),
  native: of(Math.abs),
});
