// Specs to begin with: those of the examples.

import gemma from "../../examples/gemma-2-2b/gemma-2-2b.hire.ts?raw";
import llama from "../../examples/llama-3.2-1b/llama-3.2-1b.hire.ts?raw";
import tinyLm from "../../examples/tiny-lm/tiny-lm.hire.ts?raw";
import tinyLm4 from "../../examples/tiny-lm-4/tiny-lm-4.hire.ts?raw";

interface Preset {
  /** In the address of the page. */
  readonly name: string;
  readonly title: string;
  readonly text: string;
}

export const PRESETS: readonly [Preset, ...Preset[]] = [
  { name: "tiny-lm", title: "tiny-lm", text: tinyLm },
  { name: "tiny-lm-4", title: "tiny-lm over 4 shards", text: tinyLm4 },
  { name: "gemma-2-2b", title: "Gemma 2 2B", text: gemma },
  { name: "llama-3.2-1b", title: "Llama 3.2 1B", text: llama },
];
