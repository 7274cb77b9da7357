// Ends well when Dawn gives an adapter with the driver whose manifest is named.

import koffi from "koffi";
import { create } from "webgpu";

process.env.VK_ICD_FILENAMES = process.argv[2];
process.env.VK_DRIVER_FILES = process.argv[2];
process.env.XDG_RUNTIME_DIR ??= "/tmp";
koffi.load(process.env.HIREC_VULKAN_LOADER ?? "libvulkan.so.1", { global: true });
const adapter = await create([]).requestAdapter();
process.exit(adapter ? 0 : 1);
