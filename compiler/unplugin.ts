// hirec/unplugin: specs as modules of a bundler. What is imported is the compiled model; `bindSpec` of the runtime gives it its
// types. One plugin for Vite, Rollup, Rolldown, esbuild, webpack and Rspack, by way of unplugin.

import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createUnplugin } from "unplugin";
import { kernelsModule, specModule } from "./bundler/module-text.ts";
import { bundlerError } from "./bundler/problem.ts";
import { formatDiagnostic } from "./cli/report.ts";
import { compile, HireError } from "./index.ts";

export interface HirecPluginOptions {
  /** Names of the device profiles to compile for. Default: all of WebGPU's. */
  readonly profiles?: readonly string[];
}

/** Which files are specs. */
const SPEC = /\.hire\.[cm]?[jt]s$/;
/** A spec's kernels for one profile are a module of their own, so that a page fetches only those that it runs. */
const KERNELS = /\.hire\.[cm]?[jt]s\?hirec-profile=([\w-]+)$/;

export default createUnplugin((options: HirecPluginOptions | undefined) => ({
  name: "hirec",
  enforce: "pre",
  resolveId: {
    filter: { id: KERNELS },
    // Beside the module that imports it; it keeps its query.
    handler: (id, importer) => (importer === undefined ? undefined : resolve(dirname(importer), id)),
  },
  load: {
    filter: { id: [SPEC, KERNELS] },
    async handler(id) {
      const [path, profile] = [id.replace(/\?.*$/, ""), KERNELS.exec(id)?.[1]];
      try {
        const profiles = profile ? [profile] : options?.profiles;
        const { plan, files, warnings } = await compile(path, {
          targets: ["wgsl"],
          ...(profiles && { profiles }),
          onInput: (input) => {
            // Vite takes what is watched for something that is imported, and refuses what is not there.
            if (existsSync(input)) this.addWatchFile(input);
          },
        });
        for (const warning of warnings) this.warn(formatDiagnostic(warning, false));
        return profile ? kernelsModule(plan, files) : specModule(plan, path);
      } catch (thrown) {
        const likeRollup = this.getNativeBuildContext?.() === undefined;
        throw thrown instanceof HireError ? bundlerError(thrown, likeRollup) : thrown;
      }
    },
  },
}));
