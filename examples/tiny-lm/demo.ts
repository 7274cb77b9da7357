// The demo: compiles tiny-lm's head, packs the trained weights, runs it on held-out text, and says how it compares with
// the exact head. Every number printed is measured in this run. Ends with exit code 1 when the head is worse than
// docs/tiny-lm.md promises.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "hirec/compiler";
import { createReferenceSoftmax, type GpuSoftmax, loadModel, type SoftmaxPlan } from "hirec/runtime";
import { openPack, packModel, requestNodeDevice } from "hirec/runtime/node";
import { exactHead, generate, type Head } from "./generate.ts";
import { heldOut } from "./held-out.ts";
import { loadDecoder, loadTokenizer } from "./load.ts";
import { type HeadQuality, measureHead } from "./measure.ts";

const POSITIONS = 512;
const SELECTION_POSITIONS = 128;
const PROMPT = "And it came to pass, that";
const NEW_TOKENS = 32;

/** What docs/tiny-lm.md promises of this head. */
const PROMISED = { recall: 0.995, agreement: 0.995 };

const folder = fileURLToPath(new URL(".", import.meta.url));
const temporary = await mkdtemp(join(tmpdir(), "hirec-demo-"));
let kept = false;
try {
  kept = await demo();
} finally {
  await rm(temporary, { recursive: true });
}
// Dawn would keep the process alive.
process.exit(kept ? 0 : 1);

async function demo(): Promise<boolean> {
  const started = performance.now();
  const step = async <Result>(label: string, work: () => Promise<Result> | Result): Promise<Result> => {
    const begun = performance.now();
    const result = await work();
    console.log(`${label.padEnd(44)} ${((performance.now() - begun) / 1000).toFixed(2).padStart(6)} s`);
    return result;
  };

  const { plan, files } = await step("compile tiny-lm.hire.ts", () => compile(join(folder, "tiny-lm.hire.ts")));
  const packPath = join(temporary, "tiny-lm.pack");
  await step("pack model.safetensors", () => packModel(plan, [join(folder, "model.safetensors")], packPath));
  const decoder = await loadDecoder(folder);
  const { inputs: x } = await step(`decode ${POSITIONS} held-out positions`, () => heldOut(folder, POSITIONS, decoder));

  const device = await requestNodeDevice();
  const pack = await openPack(packPath, plan);
  const model = await step("load the head onto the device", () =>
    loadModel(device.device, { plan, sources: Object.fromEntries(files) }, pack.weights),
  );
  const head = model.softmax("head");
  const result = await step("run the head", () => head.run(x));
  const reference = await createReferenceSoftmax("head", head.plan, pack.weights);
  const quality = await step("compare with the exact head", () =>
    measureHead(decoder.embedding, reference, x, result, SELECTION_POSITIONS),
  );

  const compiled = await step("generate with the compiled head", () => continuation(compiledHead(head)));
  const exact = await step("generate with the exact head", () => continuation(exactHead(decoder.embedding)));
  async function continuation(choose: Head): Promise<string> {
    const tokenizer = await loadTokenizer(folder);
    const tokens: number[] = [];
    for await (const token of generate(decoder, choose, tokenizer.encode(PROMPT))) {
      tokens.push(token);
      if (tokens.length === NEW_TOKENS) break;
    }
    return tokenizer.decode(tokens);
  }
  await pack.close();

  console.log(`\ndevice     ${device.description}, ${device.kind}, profile ${model.profile}`);
  reportBytes(head.plan);
  const held = reportQuality(head.plan, quality);
  console.log(`\nprompt     ${PROMPT}`);
  console.log(`compiled  ${indent(compiled)}\nexact     ${indent(exact)}`);
  console.log(`\nthe two continuations ${compiled === exact ? "are the same" : "differ"}`);
  console.log(`done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  model.destroy();
  device.close();
  return held;
}

/** Greedy: the first of the k rows. One token a launch, whatever the head's batch. */
function compiledHead(head: GpuSoftmax): Head {
  return async (input) => (await head.run(input)).indices[0]!;
}

function reportBytes({ bytes, candidates, k, rows, inputs }: SoftmaxPlan): void {
  const read = bytes.score + bytes.rescore;
  const kb = (count: number) => `${(count / 1000).toFixed(0)} KB`;
  console.log(`head       ${rows} rows × ${inputs} inputs, k = ${k} of ${candidates} candidates`);
  console.log(
    `bytes      ${kb(read)} per token at batch 1 (${kb(bytes.score)} scores + ${kb(bytes.rescore)} exact rows), dense ${kb(bytes.dense)}: ${(bytes.dense / read).toFixed(2)}× fewer`,
  );
}

function reportQuality({ selection, k, candidates }: SoftmaxPlan, quality: HeadQuality): boolean {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`.padStart(9);
  const row = (label: string, predicted: string, measured: number) =>
    console.log(`${label.padEnd(52)} ${predicted.padStart(9)} ${percent(measured)}`);
  console.log(`\n${"".padEnd(52)} predicted  measured`);
  row(
    `first stage keeps the best ${candidates} estimates`,
    percent(selection.recallOfCandidates),
    quality.survivingCandidates,
  );
  row(`first stage keeps the best ${k} estimates`, percent(selection.recallOfK), quality.survivingK);
  row(`recall@${k} against the exact head`, percent(selection.recallOfK), quality.recall);
  row("top-1 agreement with the exact head", "", quality.agreement);
  const held = quality.recall >= PROMISED.recall && quality.agreement >= PROMISED.agreement;
  if (!held) {
    console.error(
      `\nworse than promised: recall ${percent(PROMISED.recall)}, agreement ${percent(PROMISED.agreement)}`,
    );
  }
  return held;
}

function indent(text: string): string {
  return text.replaceAll("\n", "\n           ");
}
