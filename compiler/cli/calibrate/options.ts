// What the options of `hirec calibrate` say.

import { HireError } from "../../../runtime/errors.ts";
import type { Grid } from "../../calibrate/grid.ts";
import type { Target } from "../../calibrate/result.ts";

/** @throws HireError HIRE-CAL-007 for anything but `recall=SHARE`, `agreement=SHARE` and `certified=SHARE`. */
export function parseTarget(text: string): Target {
  const [, measure, number] = /^(recall|agreement|certified)=(\d*\.?\d+)$/.exec(text) ?? [];
  const value = Number(number);
  if (measure !== undefined && value > 0 && value < 1) return { measure: measure as Target["measure"], value };
  throw new HireError({
    code: "HIRE-CAL-007",
    message: `"${text}" is not a target`,
    fix: 'Write recall=0.99, agreement=0.99 or certified=0.9, a share above 0 and below 1; what is always 1 is dense(), or certify: "fallback"',
  });
}

export interface GridArguments {
  readonly bits: readonly number[] | undefined;
  readonly group: readonly string[] | undefined;
  readonly rank: readonly number[] | undefined;
  readonly "rank-bits": readonly number[] | undefined;
  readonly basis: readonly string[] | undefined;
  readonly candidates: readonly number[] | undefined;
  readonly select: readonly number[] | undefined;
  readonly slack: readonly number[] | undefined;
}

/** @throws HireError HIRE-CAL-007 for a number that no setting can have. */
export function parseGrid(given: GridArguments): Partial<Grid> {
  const { bits, group, rank, "rank-bits": rankBits, basis, candidates, select, slack } = given;
  return {
    ...(bits && { bits: oneOf("bits", bits, [2, 3, 4, 5, 6, 8] as const) }),
    ...(group && {
      group: oneOf(
        "group",
        group.map((each) => (each === "row" ? each : Number(each))),
        [32, 64, 128, "row"] as const,
      ),
    }),
    ...(rank && { rank: counts("rank", rank) }),
    ...(rankBits && { rankBits: oneOf("rank-bits", rankBits, [4, 8, 16] as const) }),
    ...(basis && { basis: oneOf("basis", basis, ["weights", "activations"] as const) }),
    ...(candidates && { candidates: counts("candidates", candidates, 1) }),
    ...(select && { select: shares("select", select) }),
    ...(slack && { slack: factors("slack", slack) }),
  };
}

function oneOf<Value>(option: string, given: readonly unknown[], offered: readonly Value[]): Value[] {
  return given.map((each) => {
    if (offered.includes(each as Value)) return each as Value;
    throw refuse(option, each, `Use some of ${offered.join(", ")}`);
  });
}

function counts(option: string, given: readonly number[], least = 0): readonly number[] {
  const wrong = given.find((each) => !Number.isSafeInteger(each) || each < least);
  if (wrong === undefined) return given.filter((each) => each > 0);
  throw refuse(option, wrong, "Use whole numbers");
}

function shares(option: string, given: readonly number[]): readonly number[] {
  const wrong = given.find((each) => !(each > 0 && each <= 1));
  if (wrong === undefined) return given;
  throw refuse(option, wrong, "Use shares such as 0.99; 1 is exact()");
}

function factors(option: string, given: readonly number[]): readonly number[] {
  const wrong = given.find((each) => !(each >= 1 && each < Number.POSITIVE_INFINITY));
  if (wrong === undefined) return given;
  throw refuse(option, wrong, "Use factors from 1 on, such as 1.5");
}

function refuse(option: string, value: unknown, fix: string): HireError {
  return new HireError({ code: "HIRE-CAL-007", message: `--${option} cannot be ${value}`, fix });
}
