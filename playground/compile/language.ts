// What TypeScript knows of a spec while it is written: completions, and what names mean.

import { ts } from "ts-morph";
import { languageProject } from "../../compiler/compile-text.ts";
import { type Completions, type Description, type Quote, SPEC_FILE } from "./protocol.ts";

const PATH = `/${SPEC_FILE}`;

function serviceOf(text: string): ts.LanguageService {
  const project = languageProject();
  if (project.getSourceFile(PATH)?.getFullText() !== text) project.createSourceFile(PATH, text, { overwrite: true });
  return project.getLanguageService().compilerObject;
}

export function complete(text: string, at: number, typed?: Quote): Completions | undefined {
  const found = serviceOf(text).getCompletionsAtPosition(PATH, at, typed ? { triggerCharacter: typed } : {});
  if (!found) return undefined;
  const word = /[\w$]*$/.exec(text.slice(0, at))![0];
  return {
    from: found.optionalReplacementSpan?.start ?? at - word.length,
    entries: found.entries.map(({ name, kind, sortText }) => ({ name, kind, order: sortText })),
  };
}

export function describe(text: string, at: number, name: string): Description | undefined {
  const details = serviceOf(text).getCompletionEntryDetails(PATH, at, name, undefined, undefined, undefined, undefined);
  return details && { from: at, to: at, ...wordsOf(details) };
}

export function hover(text: string, at: number): Description | undefined {
  const info = serviceOf(text).getQuickInfoAtPosition(PATH, at);
  if (!info) return undefined;
  const { start, length } = info.textSpan;
  return { from: start, to: start + length, ...wordsOf(info) };
}

function wordsOf({ displayParts, documentation, tags = [] }: ts.QuickInfo | ts.CompletionEntryDetails) {
  const parameters = tags.filter(({ name }) => name === "param").map(({ text }) => ts.displayPartsToString(text));
  return {
    signature: ts.displayPartsToString(displayParts),
    documentation: [ts.displayPartsToString(documentation), ...parameters].filter(Boolean).join("\n"),
  };
}
