// The layers of the bench on a GPU, as a spec: `npx hirec explain bench/gpu/bench-gpu.hire.ts` shows what they read.

import { BENCH, modelOf } from "./layers.ts";

export default modelOf(BENCH);
