// New values in the text of a spec: in the very places where the old ones stand, with everything else as it was. What is not
// written there as a plain value, or is written for other layers too, is left alone, and said why.

import { resolve } from "node:path";
import MagicString from "magic-string";
import { Project, type SourceFile } from "ts-morph";
import { type Diagnostic, HireError } from "../../runtime/errors.ts";
import { check } from "../check.ts";
import type { CallSite } from "../load/spec-text.ts";
import { type LoadedSpec, load } from "../load.ts";
import type { CheckedModel } from "../model.ts";
import { editLayer, Refusal } from "./edit-layer.ts";
import { withSetting } from "./grid.ts";
import type { Setting } from "./result.ts";
import { writtenValues } from "./written.ts";

/** New texts by absolute path, and a diagnostic HIRE-CAL-005 for every call that cannot be edited. */
export interface SpecEdit {
  readonly texts: ReadonlyMap<string, { readonly before: string; readonly after: string }>;
  readonly problems: readonly Diagnostic[];
}

/** Layers of a spec by the call that writes them; a call in a loop or a helper writes several. */
export function writtenTogether(spec: LoadedSpec): readonly (readonly string[])[] {
  const bySite = new Map<unknown, string[]>();
  // A layer whose call could not be followed stands for itself.
  for (const [name, { site = name }] of Object.entries(layersOf(spec)))
    bySite.set(site, [...(bySite.get(site) ?? []), name]);
  return [...bySite.values()];
}

/**
 * @param settings by layer; layers of one call have the same.
 * @param read the text of a file.
 */
export async function editSpec(
  spec: LoadedSpec,
  model: CheckedModel,
  settings: ReadonlyMap<string, Partial<Setting>>,
  read: (path: string) => string,
): Promise<SpecEdit> {
  const texts = new Map<string, { before: string; after: string }>();
  const problems: Diagnostic[] = [];
  const edits = new Map<string, { readonly source: SourceFile; readonly text: MagicString }>();
  const project = new Project({ useInMemoryFileSystem: true, skipLoadingLibFiles: true });
  const applied = new Map<string, Partial<Setting>>();
  for (const names of writtenTogether(spec)) {
    const setting = settings.get(names[0]!);
    if (!setting) continue;
    try {
      const site = siteOf(spec, names[0]!);
      const left = names.filter((name) => !settings.has(name));
      if (!site) throw new Refusal("its call cannot be followed in the text");
      if (left.length > 0) throw new Refusal(`the same call writes ${list(left)}, which is not calibrated`, site.call);
      const path = resolve(site.call.file);
      if (!edits.has(path)) {
        const before = read(path);
        edits.set(path, { source: project.createSourceFile(path, before), text: new MagicString(before) });
      }
      // A refusal leaves nothing half done.
      const { source, text } = edits.get(path)!;
      const trial = text.clone();
      editLayer(source, trial, site, layersOf(spec)[names[0]!]!.options, setting);
      edits.set(path, { source, text: trial });
      for (const name of names) applied.set(name, setting);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      problems.push(notEditable(names, setting, thrown));
    }
  }
  for (const [path, { source, text }] of edits) {
    if (text.hasChanged()) texts.set(path, { before: source.getFullText(), after: text.toString() });
  }
  const wrong = texts.size === 0 ? undefined : await whyWrong(spec, model, applied, texts);
  if (wrong === undefined) return { texts, problems };
  const refused = [...applied].map(([name, setting]) => notEditable([name], setting, new Refusal(wrong)));
  return { texts: new Map(), problems: [...problems, ...refused] };
}

/** Runs the edited spec: it must say what was meant, and nothing else. @returns what is wrong with it. */
async function whyWrong(
  spec: LoadedSpec,
  model: CheckedModel,
  settings: ReadonlyMap<string, Partial<Setting>>,
  texts: SpecEdit["texts"],
): Promise<string | undefined> {
  const overrides = new Map([...texts].map(([path, { after }]) => [path, after]));
  try {
    const found = check(await load(spec.path, undefined, overrides));
    const wanted = model.layers.map((layer) => {
      const setting = settings.get(layer.name);
      return setting ? withSetting(layer, setting) : layer;
    });
    const differs = found.layers.filter((layer, i) => sorted(layer) !== sorted(wanted[i]!));
    if (differs.length === 0 && found.layers.length === wanted.length) return undefined;
    return `the edited spec says something else of ${list(differs.map(({ name }) => name))} than what was meant`;
  } catch (thrown) {
    if (thrown instanceof HireError) return `the edited spec fails: ${thrown.diagnostics[0]!.message}`;
    throw thrown;
  }
}

/** The same text for the same values, in whatever order their properties are. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each) => (isObject(each) ? Object.fromEntries(Object.entries(each).sort()) : each));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function notEditable(names: readonly string[], setting: Partial<Setting>, { message, span }: Refusal): Diagnostic {
  const values = Object.entries(writtenValues(setting)).map(([name, value]) => `${name}: ${value}`);
  return {
    code: "HIRE-CAL-005",
    message: `The values of layer ${list(names)} cannot be written into the spec: ${message}`,
    fix: `Write them yourself: ${values.join(", ")}`,
    ...(span && { span }),
  };
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function layersOf(spec: LoadedSpec) {
  return spec.model.options.layers as Readonly<Record<string, { readonly site?: number; readonly options: object }>>;
}

function siteOf(spec: LoadedSpec, layer: string): CallSite | undefined {
  const { site } = layersOf(spec)[layer]!;
  return site === undefined ? undefined : spec.sites[site];
}
