// hirec/vite: `import spec from "./tiny-lm.hire.ts"` gives the compiled model, in the dev server and in builds.

import type { Plugin } from "vite";
import unplugin, { type HirecPluginOptions } from "./unplugin.ts";

export type { HirecPluginOptions } from "./unplugin.ts";

/** The plugin of a Vite configuration. Problems of a spec stand in Vite's overlay, with their places. */
export default function hirec(options?: HirecPluginOptions): Plugin {
  return unplugin.vite(options) as Plugin;
}
