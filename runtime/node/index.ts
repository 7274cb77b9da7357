// The runtime in Node: files, packs, devices and MPI around `hirec/runtime`.

export { openMpi } from "../collective/mpi.ts";
export { type MpiLaunch, mpiLaunch } from "../collective/mpi-launch.ts";
export { readCompiledFolder } from "./compiled-folder.ts";
export { type DeviceChoice, type NodeDevice, requestNodeDevice, requestNullDevice } from "./device.ts";
export { type OpenPack, openPack, type PackSummary, packModel } from "./pack-file.ts";
export { type RunOptions, type RunSummary, runFile } from "./run-file.ts";
export { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors-file.ts";
