// Loads and decodes apart from the page, on a device of its own.

import { serve } from "../worker/serve.ts";
import { beginDecoding, type Decoding } from "./decode.ts";
import { loadTinyLm, type TinyLm } from "./load.ts";
import type { LiveRequest, LiveResult } from "./tasks.ts";

let model: TinyLm | undefined;
let decoding: Decoding | undefined;

serve<LiveRequest, LiveResult<LiveRequest["task"]>>(async (request, onProgress) => {
  if (request.task === "load") {
    model = await loadTinyLm(onProgress);
    return model.facts;
  }
  if (request.task === "begin") {
    decoding = await beginDecoding(model!, request.options, onProgress);
    return decoding.begun;
  }
  return decoding!.step();
});
