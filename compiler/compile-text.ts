// The compiler without files: the text of one spec in, the text of a compiled folder out. It runs in a browser's worker.

import { Project } from "ts-morph";
import { HireError } from "../runtime/errors.ts";
import { check } from "./check.ts";
import { type CompiledModel, emit } from "./emit.ts";
import { isModel, notAModel } from "./load/model-value.ts";
import { runText } from "./load/run-text.ts";
import { typeOptions, typeProblems } from "./load/type-problems.ts";
import type { CheckedModel } from "./model.ts";
import { pickProfiles, type Wanted } from "./pick-profiles.ts";
import { languageTexts } from "./texts.ts";

export interface CompileTextOptions extends Wanted {
  /** How the spec is named in problems and in the headers of sources. Default: spec.hire.ts. */
  readonly file?: string;
}

/**
 * Compiles the text of a spec, which may import the language and nothing else. The text is run: it is a program, and may do what the
 * page may.
 * @throws HireError of the families HIRE-SPEC and HIRE-PLAN, as `compile`.
 */
export async function compileText(
  text: string,
  { file = "spec.hire.ts", ...wanted }: CompileTextOptions = {},
): Promise<CompiledModel> {
  const profiles = pickProfiles(wanted);
  return emit(await checkText(`/${file}`, text), profiles, wanted.targets);
}

async function checkText(path: string, text: string): Promise<CheckedModel> {
  // What TypeScript says of a name that is missing is better than what becomes of it when it is called.
  const ran = await runText(path, text).catch((thrown: HireError) => {
    const problems = thrown.diagnostics?.[0]?.code === "HIRE-SPEC-004" ? typecheckText(path, text) : [];
    throw problems.length > 0 ? new HireError(problems) : thrown;
  });
  if (!isModel(ran.value)) throw notAModel(path, text);
  const model = check({ path, model: ran.value, sites: ran.sites, functions: ran.functions });
  const problems = typecheckText(path, text);
  if (problems.length > 0) throw new HireError(problems);
  return model;
}

function typecheckText(path: string, text: string) {
  const project = languageProject();
  project.createSourceFile(path, text, { overwrite: true });
  return typeProblems(project, [path]);
}

let project: Project | undefined;

/** The one project in memory that knows the language, for checks and for editors: its libraries are parsed once. */
export function languageProject(): Project {
  if (project) return project;
  const texts = languageTexts();
  const index = texts.has("index.d.ts") ? "index.d.ts" : "index.ts";
  project = new Project({ useInMemoryFileSystem: true, compilerOptions: typeOptions(`/hirec/${index}`) });
  for (const [file, content] of texts) project.createSourceFile(`/hirec/${file}`, content);
  return project;
}
