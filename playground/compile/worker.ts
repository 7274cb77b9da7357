// The compiler in a worker of its own, so that the page stays responsive and a spec that never ends can be ended.

import { explainModel } from "../../compiler/cli/explain/model.ts";
import { formatModel } from "../../compiler/cli/explain/model-text.ts";
import { compileText } from "../../compiler/compile-text.ts";
import { HireError } from "../../runtime/errors.ts";
import { complete, describe, hover } from "./language.ts";
import { type Answer, type Request, SPEC_FILE, type Tasks } from "./protocol.ts";

const tasks: Tasks = {
  async compile(text) {
    try {
      const { plan, files } = await compileText(text, { file: SPEC_FILE, targets: ["wgsl", "cuda"] });
      const explanation = explainModel(plan);
      return { text, plan, files, explanation, explained: formatModel(explanation) };
    } catch (thrown) {
      if (thrown instanceof HireError) return thrown.diagnostics;
      throw thrown;
    }
  },
  complete,
  describe,
  hover,
};

const answer = (message: Answer) => postMessage(message);

addEventListener("message", async ({ data: { id, task, given } }: MessageEvent<Request>) => {
  try {
    answer({ id, result: await (tasks[task] as (...given: readonly unknown[]) => unknown)(...given) });
  } catch (thrown) {
    answer({ id, bug: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
  }
});

answer("ready");
