// The page: a spec, and what becomes of it.

import { compileLatest, type Outcome } from "./compile/compile-latest.ts";
import { startCompiler } from "./compile/compiler.ts";
import type { Compiled } from "./compile/protocol.ts";
import { createSource } from "./compile/source.ts";
import { mountDeviceParts } from "./device-parts.ts";
import { createEditor, replaceText } from "./editor/editor.ts";
import { createProblems } from "./editor/problems.ts";
import { announce } from "./page/announce.ts";
import { byId } from "./page/by-id.ts";
import { copyOnClick } from "./page/copy.ts";
import { closeBeside, openPage } from "./pages/dialog.ts";
import { createPipeline } from "./pipeline/pipeline.ts";
import { followAddress } from "./share/address.ts";
import { createPresetChoice } from "./share/preset-choice.ts";
import { save, zipOf } from "./share/zip.ts";
import { createPane } from "./sources/pane.ts";

/** Milliseconds without a key before the spec is compiled. */
const PAUSE = 200;
/** Seconds that a spec may run. */
const LIMIT = 8;

const source = createSource<Compiled>();
const compiler = startCompiler(LIMIT);
const compile = compileLatest(compiler, show);
const editor = createEditor(byId("editor"), compiler, changed);
const showProblems = createProblems(editor, byId("problems"), openPage);
const showPreset = createPresetChoice(byId<HTMLSelectElement>("preset"), (text) => replaceText(editor, text));
const address = followAddress(
  (text) => replaceText(editor, text),
  (why = "") => {
    byId("notice").textContent = why;
  },
);
const panes = [createPane("wgsl"), createPane("cuda")];
const download = byId<HTMLButtonElement>("download");
let compiled: Compiled | undefined;
let timer = 0;

const showPipeline = createPipeline({
  layer(layer) {
    for (const pane of panes) pane.show(compiled!, layer);
  },
  stage(stage, kernel) {
    for (const pane of panes) pane.showStage(stage, kernel);
    byId("sources").scrollIntoView();
    announce(`The lines of ${stage} are marked in the sources`);
  },
});

source.onCompiled((each) => {
  compiled = each;
  showPipeline(each);
  download.disabled = false;
});

download.addEventListener("click", () => save(zipOf(compiled!), `${compiled!.plan.model}.zip`));
copyOnClick(byId<HTMLButtonElement>("copy-link"), () => location.href);
closeBeside();
mountDeviceParts(source);

function changed(text: string): void {
  clearTimeout(timer);
  showPreset(text);
  timer = window.setTimeout(() => {
    compile(text);
    address.put(text);
  }, PAUSE);
}

function show(outcome: Outcome): void {
  const problems = "problems" in outcome ? outcome.problems : [];
  showProblems(problems);
  const failed = !("compiled" in outcome);
  document.body.classList.toggle("outdated", failed && compiled !== undefined);
  if (!failed) source.set(outcome.compiled);
  say(statusOf(outcome), failed);
}

function statusOf(outcome: Outcome): string {
  if ("compiled" in outcome) return `${outcome.compiled.files.size} files in ${outcome.ms.toFixed(0)} ms`;
  const kept = compiled ? "; what is shown is the last version that compiled" : "";
  if ("failure" in outcome) return outcome.failure + kept;
  const count = outcome.problems.length;
  return `${count} ${count === 1 ? "problem" : "problems"}${kept}`;
}

/** A screen reader is told of failures, and of the first success behind one; not of every time that it took. */
function say(text: string, failed: boolean): void {
  const status = byId("status");
  const wasFailed = status.classList.contains("failed");
  status.textContent = text;
  status.classList.toggle("failed", failed);
  if (failed) announce(text);
  else if (wasFailed) announce("The spec compiles");
}
