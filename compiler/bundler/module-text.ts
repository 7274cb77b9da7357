// What a bundler gets in place of a spec.

import { basename } from "node:path";
import { kernelsOf, type Plan } from "../../runtime/plan.ts";

/** The module of a spec: its default export is the compiled model, whose kernels are imported when they are loaded. */
export function specModule(plan: Plan, path: string): string {
  const profiles = plan.programs.map(({ profile }) => {
    const module = JSON.stringify(`./${basename(path)}?hirec-profile=${profile}`);
    return `  ${JSON.stringify(profile)}: () => import(${module}),`;
  });
  return `const kernels = {
${profiles.join("\n")}
};
const sources = async (file) => (await kernels[file.split("/")[0]]()).default[file];
export default { plan: ${JSON.stringify(plan)}, sources };
`;
}

/** The sources of the kernels by their paths. */
export function kernelsModule(plan: Plan, files: ReadonlyMap<string, string>): string {
  const paths = kernelsOf(plan).map(({ kernel }) => kernel.file);
  return `export default ${JSON.stringify(Object.fromEntries(paths.map((path) => [path, files.get(path)])), null, 1)};\n`;
}
