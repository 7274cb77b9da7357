// hirec explain

import type { CommandModule } from "yargs";
import { wantsColor } from "../report.ts";
import { type GlobalArguments, runCommand } from "../run-command.ts";

interface Arguments extends GlobalArguments {
  readonly subject: string;
}

/** Text wider than this is hard to read. */
const WIDEST = 100;

export const explainCommand: CommandModule<GlobalArguments, Arguments> = {
  command: "explain <subject>",
  describe: "Show what a spec compiles to, or what a diagnostic code means",
  builder: (yargs) =>
    yargs
      .positional("subject", {
        describe: "A spec, a compiled folder, or a code such as HIRE-SPEC-011",
        type: "string",
        demandOption: true,
      })
      .example("$0 explain tiny-lm.hire.ts", "kernels, bytes against dense, memory and recall of each layer")
      .example("$0 explain HIRE-SPEC-011", "the page of that code"),
  handler: (args) =>
    runCommand("explain", args.json, async () => {
      const { findPage, formatPage, looksLikeCode } = await import("../explain/page.ts");
      if (looksLikeCode(args.subject)) {
        const page = await findPage(args.subject);
        const width = Math.min(WIDEST, process.stdout.columns ?? 80);
        return { result: { ...page }, text: formatPage(page, width, wantsColor(process.stdout)) };
      }
      const [{ openModule }, { explainModel }, { formatModel }] = await Promise.all([
        import("../module.ts"),
        import("../explain/model.ts"),
        import("../explain/model-text.ts"),
      ]);
      const { plan, warnings } = await openModule(args.subject);
      const explanation = explainModel(plan);
      return { result: { ...explanation }, text: formatModel(explanation), warnings };
    }),
};
