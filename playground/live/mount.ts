// "tiny-lm, live": a whole model decodes in the page, through compiled layers and through their dense twins.

import "../device-parts.css";
import "./live.css";
import { element, labelled } from "../element.ts";
import { callWorker, type WorkerCall } from "../worker/call.ts";
import { createStatus } from "../worker/status.ts";
import { createFigures } from "./figures.ts";
import type { BeginOptions, LiveRequest, LiveResult } from "./tasks.ts";
import { createTextColumn, quoted } from "./text-column.ts";

const MOST_TOKENS = 256;

export function mountLive(container: HTMLElement): void {
  const heading = element("h2", {}, "tiny-lm, live");
  const introduction = element(
    "p",
    {},
    "A language model of 5.2 million parameters, trained on the King James Bible, decodes here twice: once its head and feed-forwards are HiRE's kernels, once dense kernels, which score every row with exact weights.",
  );
  if (!("gpu" in navigator)) {
    const missing = "This browser offers no WebGPU here, so the model cannot run in this page.";
    container.replaceChildren(heading, introduction, element("p", { className: "unavailable" }, missing));
    return;
  }

  const form = liveForm();
  const primary = element("button", { type: "submit" });
  const single = element("button", { type: "button" }, "One token");
  const restart = element("button", { type: "button", hidden: true }, "Start over");
  const status = createStatus();
  const announcer = element("p", { className: "unseen", "aria-live": "polite" });
  const columns = {
    hire: createTextColumn("live-hire", "HiRE", "An estimate scores all rows; the best are recomputed exactly."),
    exact: createTextColumn("live-exact", "Exact", "Every row is scored with its exact weights."),
  };
  const figures = createFigures();
  form.element.append(element("div", { className: "actions" }, primary, single, restart));
  container.replaceChildren(
    heading,
    introduction,
    form.element,
    status.element,
    element("div", { className: "columns" }, columns.hire.element, columns.exact.element),
    element(
      "p",
      { className: "notes" },
      "A token on which they differ is underlined and followed by ≠. Recall compares what HiRE's layers took with what is exactly best on the same inputs.",
    ),
    figures.element,
    announcer,
  );

  let worker: WorkerCall<LiveRequest, LiveResult<LiveRequest["task"]>> | undefined;
  /** Tokens made since the text began; undefined before it does. */
  let made: number | undefined;
  let busy = false;
  let loading = false;
  let stopping = false;

  const showState = () => {
    const done = made !== undefined && made >= form.tokens();
    primary.textContent = busy ? "Stop" : made === undefined || done ? "Start" : "Continue";
    // Disabled it would lose the focus of who presses it again and again.
    single.setAttribute("aria-disabled", String(busy || done));
    if (busy && container.querySelector("fieldset :focus")) primary.focus();
    restart.hidden = busy || made === undefined;
    form.disable(busy);
  };
  const forget = () => {
    made = undefined;
    showState();
  };
  /** Undefined when it failed, or when the worker is gone meanwhile. */
  const ask = async <Request extends LiveRequest>(
    request: Request,
  ): Promise<LiveResult<Request["task"]> | undefined> => {
    const asked = worker!;
    const outcome = await asked.call(request, status.show);
    if (asked !== worker) return undefined;
    if ("result" in outcome) return outcome.result as LiveResult<Request["task"]>;
    // A device that was lost takes everything with it.
    asked.close();
    worker = undefined;
    made = undefined;
    status.fail(outcome.problems);
    return undefined;
  };
  /** What is only half loaded is of no use later; nobody waits for its answer any more. */
  const abandon = () => {
    worker?.close();
    worker = undefined;
    [busy, loading] = [false, false];
    status.say("Stopped.");
    showState();
  };
  const begin = async (): Promise<boolean> => {
    if (!worker) {
      worker = callWorker(new Worker(new URL("worker.ts", import.meta.url), { type: "module" }));
      loading = true;
      status.show({ label: "Loading tiny-lm" });
      const loaded = await ask({ task: "load" });
      loading = false;
      if (!loaded) return false;
      figures.loaded(loaded);
      adapterNote(loaded);
    }
    const begun = await ask({ task: "begin", options: form.options() });
    if (!begun) return false;
    for (const column of [columns.hire, columns.exact]) column.begin(begun.text);
    figures.begin();
    made = 0;
    return true;
  };
  let where = "";
  const adapterNote = ({ adapter, kind, profile, times: { fetch, pack, load } }: LiveResult<"load">) => {
    const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
    const software =
      kind === "software" ? " This is a software adapter: the text is right, the speed says nothing." : "";
    where = `On ${adapter}, profile ${profile}; fetched in ${seconds(fetch)}, packed in ${seconds(pack)}, loaded in ${seconds(load)}.${software}`;
  };
  const step = async (): Promise<boolean> => {
    const result = await ask({ task: "step" });
    if (!result) return false;
    made!++;
    const { token, piece } = result;
    const differs = token.hire !== token.exact;
    columns.hire.add(piece.hire, differs ? piece.exact : undefined);
    columns.exact.add(piece.exact, differs ? piece.hire : undefined);
    if (differs)
      announcer.textContent = `Token ${made} differs: HiRE ${quoted(piece.hire)}, exact ${quoted(piece.exact)}.`;
    figures.add(result);
    return true;
  };
  const advance = async (tokens: number) => {
    [busy, stopping] = [true, false];
    showState();
    let going = made !== undefined || (await begin());
    if (going) status.say(where);
    for (let i = 0; going && !stopping && i < tokens && made! < form.tokens(); i++) going = await step();
    if (going && tokens > 1) announcer.textContent = `${made} tokens.`;
    busy = false;
    showState();
  };

  form.element.onsubmit = (event) => {
    event.preventDefault();
    if (busy) {
      stopping = true;
      if (loading) abandon();
      return;
    }
    if (made !== undefined && made >= form.tokens()) made = undefined;
    advance(MOST_TOKENS);
  };
  single.onclick = () => {
    if (single.getAttribute("aria-disabled") === "false" && form.element.reportValidity()) advance(1);
  };
  restart.onclick = () => {
    forget();
    primary.focus();
  };
  form.element.onchange = ({ target }) => {
    if ((target as HTMLInputElement).name !== "tokens") forget();
    else showState();
  };
  showState();
}

/** What a text begins with, and how it goes on. */
function liveForm() {
  const prompt = element("textarea", { name: "prompt", rows: 2, value: "And it came to pass, that" });
  const option = (value: string, text: string) => element("option", { value }, text);
  const follow = element(
    "select",
    { name: "follow" },
    option("exact", "the exact text: each difference is that step's own"),
    option("own", "its own text: a difference changes all that follows"),
  );
  const draw = element(
    "select",
    { name: "draw" },
    option("greedy", "the best"),
    option("sampled", "drawn from the best 32"),
  );
  const number = (name: string, value: string, min: string, max: string, step = "1") =>
    element("input", { name, type: "number", value, min, max, step, required: true });
  const temperature = number("temperature", "0.8", "0.1", "5", "0.1");
  const seed = number("seed", "1", "0", "999999");
  const tokens = number("tokens", "64", "1", String(MOST_TOKENS));
  const sampling = element(
    "span",
    { className: "sampling", hidden: true },
    labelled("Temperature", temperature),
    labelled("Seed", seed),
  );
  draw.addEventListener("change", () => {
    sampling.hidden = draw.value !== "sampled";
  });
  const fields = element(
    "fieldset",
    { className: "fields" },
    labelled("Prompt", prompt),
    labelled("Both continue", follow),
    labelled("Next token", draw),
    sampling,
    labelled("Tokens", tokens),
  );
  return {
    element: element("form", {}, fields),
    tokens: () => tokens.valueAsNumber || 0,
    disable: (disabled: boolean) => {
      fields.disabled = disabled;
    },
    options: (): BeginOptions => ({
      prompt: prompt.value,
      follow: follow.value as BeginOptions["follow"],
      draw:
        draw.value === "sampled"
          ? { kind: "sampled", temperature: temperature.valueAsNumber, seed: seed.valueAsNumber }
          : { kind: "greedy" },
    }),
  };
}
