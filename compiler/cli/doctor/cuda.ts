// The trial on the first CUDA device.

import { requestCudaDevice } from "../../../runtime/cuda/device.ts";
import { loadCudaModel } from "../../../runtime/cuda/model.ts";
import { compareLayers, type Trial } from "./trial.ts";

/** @returns where it ran. */
export async function runOnCuda(trial: Trial): Promise<string> {
  const device = await requestCudaDevice();
  try {
    const model = await loadCudaModel(device, trial.compiled, trial.weights);
    try {
      await compareLayers(trial, model.layers, `${device.name}, profile ${model.profile}`);
    } finally {
      model.destroy();
    }
    const memory = (device.memoryBytes / 2 ** 30).toFixed(1);
    return `${device.name} (sm_${device.capability}, ${memory} GiB, driver for CUDA ${device.driverVersion}); ran ${model.profile} and matched the reference`;
  } finally {
    device.close();
  }
}
