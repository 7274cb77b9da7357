// The runtime in Node: files, packs and devices around `hirec/runtime`.

export { readCompiledFolder } from "./compiled-folder.ts";
export { type DeviceChoice, type NodeDevice, requestNodeDevice, requestNullDevice } from "./device.ts";
export { type OpenPack, openPack, type PackSummary, packModel } from "./pack-file.ts";
export { type RunOptions, type RunSummary, runFile } from "./run-file.ts";
export { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors-file.ts";
