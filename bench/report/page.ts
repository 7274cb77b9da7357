// Results as a page of Markdown: what was reached of what is wanted, a table per shape, and the kernels of each.

import { distinct, isTimed, type Results, type TimedRow } from "./results.ts";

/** @param images Markdown of the plots of each of the results. */
export function page(results: readonly Results[], images: readonly string[]): string {
  const warning = results.some(({ dryRun }) => dryRun) ? ["**A dry run on the CPU: its numbers mean nothing.**"] : [];
  return [
    "# Results on a GPU",
    "Made by `npm run bench:report` from the files of `bench/results`; [benchmarks.md](benchmarks.md) says what is measured, and how.",
    ...warning,
    ...results.flatMap((each, i) => section(each, images[i]!)),
    "",
  ].join("\n\n");
}

function section(results: Results, images: string): string[] {
  const { kind, machine, bandwidth, date, commit, command, shapes, rows, notReached } = results;
  const speed = (rate: number) => `${Math.round(rate / 1e9)} GB/s`;
  const software = ["driver_version", "cuda", "torch", "triton", "python"]
    .filter((name) => machine[name] != null)
    .map((name) => `${name.replace("_version", "")} ${machine[name]}`);
  const skipped = rows.flatMap((row) => (isTimed(row) ? [] : [`${row.contender}: ${row.skipped}`]));
  return [
    `## ${kind === "decode" ? "Decoding" : "Layers"} on ${machine.gpu}`,
    `${date.slice(0, 10)}, commit ${commit}, ${software.join(", ")}. The card reads ${speed(bandwidth.read)} (${bandwidth.reader}) and copies ${speed(bandwidth.copy)}, measured in this run: \`${command}\``,
    images,
    barTable(results),
    ...shapes.flatMap(({ name, title }) => {
      const own = rows.filter(({ shape }) => shape === name).filter(isTimed);
      if (own.length === 0) return [];
      return [`### ${title}`, kind === "decode" ? decodeTable(own) : layerTable(own), kernelTable(own)];
    }),
    ...(skipped.length === 0
      ? []
      : [
          "Not timed:",
          distinct(skipped)
            .map((line) => `- ${escaped(line)}`)
            .join("\n"),
        ]),
    ...(notReached.length === 0
      ? []
      : [`Not reached in time: ${notReached.map(({ shape, batch }) => `${shape} at batch ${batch}`).join(", ")}.`]),
  ];
}

function barTable({ bars }: Results): string {
  if (bars.length === 0) return "Nothing of what is wanted was measured.";
  return table(
    ["wanted", "at least", "reached"],
    bars.map(({ bar, wanted, reached, passed }) => [
      bar,
      String(wanted),
      passed ? reached.toFixed(2) : `**missed: ${reached.toFixed(2)}**`,
    ]),
  );
}

function layerTable(rows: readonly TimedRow[]): string {
  const batches = distinct(rows.map(({ batch }) => batch));
  const cell = (row: TimedRow | undefined) =>
    row === undefined
      ? ""
      : `${microseconds(row.us)}${row.ratio === undefined ? "" : `, ${row.ratio.toFixed(2)}×`}${row.isDensePath ? " (dense path)" : ""}`;
  return table(
    ["", ...batches.map((batch) => `batch ${batch}`), "recall", "MB", "of the floor", "launches"],
    distinct(rows.map(({ contender }) => contender)).map((contender) => {
      const own = rows.filter((row) => row.contender === contender);
      const [first] = own;
      return [
        contender,
        ...batches.map((batch) => cell(own.find((row) => row.batch === batch))),
        first!.recall === undefined ? "" : percent(first!.recall, 2),
        (first!.bytes / 1e6).toFixed(1),
        percent(first!.ofFloor, 0),
        launches(first!.launches),
      ];
    }),
  );
}

function decodeTable(rows: readonly TimedRow[]): string {
  return table(
    ["batch", "", "per step", "tokens/s", "", "of the floor", "launches", "attention", "feed-forwards", "head"],
    rows.map(({ batch, contender, us, tokensPerSecond, ratio, ofFloor, parts, ...row }) => [
      String(batch),
      contender,
      microseconds(us),
      tokensPerSecond!.toFixed(0),
      ratio === undefined ? "" : `${ratio.toFixed(2)}×`,
      percent(ofFloor, 0),
      launches(row.launches),
      ...["attention", "mlp", "head"].map((part) => percent(parts![part]! / us, 0)),
    ]),
  );
}

/** Of hirec's layers at the smallest batch, where the bars are. */
function kernelTable(rows: readonly TimedRow[]): string {
  const least = Math.min(...rows.map(({ batch }) => batch));
  const own = rows.filter(({ batch, contender }) => batch === least && contender.startsWith("hirec"));
  const lines = own.flatMap(({ contender, kernels }) =>
    kernels.map(({ name, us, launches: often, details }) => [
      contender,
      `\`${(name.length > 60 ? `${name.slice(0, 57)}...` : name).replaceAll("|", "\\|")}\``,
      microseconds(us),
      launches(often),
      String(details["registers per thread"] ?? ""),
      Array.isArray(details.grid) ? details.grid.filter((extent) => extent !== 1).join(" × ") || "1" : "",
    ]),
  );
  if (lines.length === 0) return "";
  return table([`batch ${least}`, "kernel", "median", "launches", "registers", "blocks"], lines);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** What a table would take for its own. */
function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function microseconds(us: number): string {
  return `${us < 100 ? us.toFixed(1) : us.toFixed(0)} µs`;
}

function percent(share: number, digits: number): string {
  return `${(100 * share).toFixed(digits)} %`;
}

function launches(count: number): string {
  return count === 0 ? "" : String(Math.round(count * 10) / 10);
}
