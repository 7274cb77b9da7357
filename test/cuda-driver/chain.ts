// Two layers of the trial in a row: what the feed-forward gives is what the head takes.

import type { CudaDevice } from "../../runtime/cuda/device.ts";
import type { CudaModel } from "../../runtime/cuda/model.ts";
import type { CudaStream } from "../../runtime/cuda/stream.ts";

export function makeChain(device: CudaDevice, model: CudaModel) {
  const head = model.softmax("quantized");
  const ffn = model.ffn("ffn");
  const { batch, k } = head.plan;
  const x = device.allocate("f32", batch * ffn.plan.inputs);
  const output = device.allocate("f32", batch * ffn.plan.outputs);
  const groups = device.allocate("u32", batch * ffn.plan.k);
  const indices = device.allocate("u32", batch * k);
  const values = device.allocate("f32", batch * k);
  return {
    x,
    encode: (stream: CudaStream) => {
      ffn.encode(stream, { x, output, groups });
      head.encode(stream, { x: output, indices, values });
    },
    /** What the buffers hold. */
    read: async () => ({ indices: await indices.read(), values: await values.read() }),
    /** What the chain has to give: one layer after the other, through the host. */
    expected: async (tokens: Float32Array) => head.run((await ffn.run(tokens)).output),
    destroy: () => {
      for (const buffer of [x, output, groups, indices, values]) buffer.destroy();
    },
  };
}
