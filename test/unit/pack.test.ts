// Packing: rows to codes, and codes to where the plan wants them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dense, quantized, twoStage } from "../../dsl/index.ts";
import { packLayer } from "../../runtime/pack/pack-layer.ts";
import { emptyRow, quantizeRow, type RowFormat } from "../../runtime/pack/quantize.ts";
import { bf16ToF32, f16ToF32, rowReader, toF16 } from "../../runtime/pack/weights.ts";
import type { SoftmaxPlan } from "../../runtime/plan.ts";
import { compileLayers, LAYER } from "../cases/compile-case.ts";
import { bitsOf, encode, fromBits, roundTo } from "../cases/dtypes.ts";
import { integer, mulberry32, normal } from "../cases/random.ts";

const FORMATS: readonly RowFormat[] = ([2, 3, 4, 5, 6, 8] as const).flatMap((bits) => [
  { bits, group: 32, groups: 3, scaleMax: 255 },
  { bits, group: 64, groups: 2, scaleMax: 7 },
  { bits, group: 128, groups: 5, scaleMax: 1 },
  { bits, group: 96, groups: 1, scaleMax: 1 },
]);

const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const ordinary = fc.float({ min: -8, max: 8, noNaN: true });
const sparse = fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: ordinary, weight: 1 });

function rows({ group, groups }: RowFormat): fc.Arbitrary<Float32Array> {
  const length = { minLength: group * groups, maxLength: group * groups };
  return fc
    .oneof(...[ordinary, finite, sparse].map((each) => fc.array(each, length)))
    .map((values) => Float32Array.from(values));
}

function quantize(weights: Float32Array, format: RowFormat) {
  const row = emptyRow(format);
  // What an earlier row left behind must not show.
  row.levels.fill(99);
  row.scales.fill(99);
  quantizeRow(weights, format, row);
  return row;
}

describe.each(FORMATS)("$bits bits, $groups groups of $group, scales to $scaleMax", (format) => {
  const { bits, group, groups, scaleMax } = format;
  const odd = bits < 4;
  const largestLevel = odd ? 2 ** bits - 1 : 2 ** (bits - 1) - 1;
  /** From one level to the next, in steps. */
  const spacing = odd ? 2 : 1;

  test("codes and scales stay in range, and a weight is off by half a step at most unless it is clipped", () => {
    fc.assert(
      fc.property(rows(format), (weights) => {
        const { levels, scales, rowScale } = quantize(weights, format);
        expect(Number.isFinite(rowScale) && Math.fround(rowScale) === rowScale).toBe(true);
        scales.forEach((scale) => void expect(scale).toBeLessThanOrEqual(groups === 1 ? 1 : scaleMax));
        for (let i = 0; i < weights.length; i++) {
          const [level, step] = [levels[i]!, scales[Math.floor(i / group)]! * rowScale];
          expect(Math.abs(level)).toBeLessThanOrEqual(largestLevel);
          if (odd) expect(Math.abs(level % 2)).toBe(1);
          const error = Math.abs(weights[i]! - level * step);
          const clipped = Math.abs(level) === largestLevel && Math.abs(weights[i]!) > largestLevel * step;
          if (!clipped) expect(error).toBeLessThanOrEqual(((spacing * step) / 2) * (1 + 2 ** -40));
          else expect(Math.sign(level)).toBe(Math.sign(weights[i]!));
        }
      }),
      { seed: 1, numRuns: 60 },
    );
  });

  test("no group is worse than with codes over its full range", () => {
    fc.assert(
      fc.property(rows(format), (weights) => {
        const { levels, scales, rowScale } = quantize(weights, format);
        const largest = weights.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        if (largest === 0) return;
        // The plain way: the largest weight of a row, or of a group as far as whole scales allow, gets the largest code.
        const plainRow = Math.max(2 ** -126, Math.fround(largest / (largestLevel * (groups === 1 ? 1 : scaleMax))));
        for (let g = 0; g < groups; g++) {
          const part = weights.subarray(g * group, (g + 1) * group);
          const most = part.reduce((all, value) => Math.max(all, Math.abs(value)), 0);
          const whole = Math.round(most / (largestLevel * plainRow));
          const plain = groups === 1 ? plainRow : plainRow * Math.min(scaleMax, Math.max(1, whole));
          const chosen = scales[g]! * rowScale;
          const [ours, theirs] = [0, 0].map((_, which) =>
            part.reduce((sum, weight, i) => {
              const step = which === 0 ? chosen : plain;
              const nearest = odd ? 2 * Math.floor(weight / step / 2) + 1 : Math.round(weight / step);
              const level = which === 0 ? levels[g * group + i]! : clamp(nearest, largestLevel);
              return sum + (weight - level * step) ** 2;
            }, 0),
          ) as [number, number];
          expect(ours).toBeLessThanOrEqual(theirs * (1 + 2 ** -40));
        }
      }),
      { seed: 2, numRuns: 60 },
    );
  });

  test("a row of zeros has a score of zero", () => {
    const { levels, rowScale } = quantize(new Float32Array(group * groups), format);
    expect(levels.every((level) => level === (odd ? 1 : 0))).toBe(true);
    expect(rowScale).toBe(0);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "one %d anywhere makes the row's scale NaN, so that the row becomes a candidate",
    (special) => {
      for (const at of [0, group - 1, group * groups - 1]) {
        const weights = new Float32Array(group * groups).fill(1);
        weights[at] = special;
        const { levels, rowScale } = quantize(weights, format);
        expect(rowScale).toBeNaN();
        // Defined all the same: a pack has the same bytes everywhere.
        expect(levels.every((level) => level === (odd ? 1 : 0))).toBe(true);
      }
    },
  );
});

test("clipping the largest weights of a normal row lowers the squared error of 4-bit codes by a tenth at least", () => {
  const random = mulberry32(5);
  const format = { bits: 4, group: 4096, groups: 1, scaleMax: 1 } as const;
  const weights = Float32Array.from({ length: format.group }, () => normal(random));
  const { levels, rowScale } = quantize(weights, format);
  const plain = weights.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 7;
  const error = (step: number, code: (i: number) => number) =>
    weights.reduce((sum, weight, i) => sum + (weight - code(i) * step) ** 2, 0);
  expect(error(rowScale, (i) => levels[i]!)).toBeLessThan(0.9 * error(plain, (i) => Math.round(weights[i]! / plain)));
});

test("a subnormal row scale is never made, since a device may take it for zero", () => {
  for (const largest of [2 ** -149, 2 ** -130, 2 ** -126, 2 ** -124]) {
    for (const format of FORMATS) {
      const { rowScale } = quantize(new Float32Array(format.group * format.groups).fill(largest), format);
      expect(rowScale).toBeGreaterThanOrEqual(2 ** -126);
    }
  }
});

describe("every packed tensor holds each row where the plan says", () => {
  const estimators = [
    dense(),
    ...([2, 3, 4, 5, 6, 8] as const).flatMap((bits) =>
      ([32, 64, "row"] as const).map((group) => quantized({ bits, group })),
    ),
  ];
  const shapes = estimators.flatMap((estimator, i) =>
    (["f32", "f16", "bf16"] as const).map((dtype) => {
      const [inputs, rows] = [
        [1, 64],
        [33, 65],
        [100, 130],
        [257, 200],
      ][i % 4] as [number, number];
      return { inputs, rows, dtype, estimator };
    }),
  );
  // Two tiles a bucket.
  shapes.push({ inputs: 3, rows: 98_500, dtype: "f16", estimator: quantized({ bits: 4 }) });
  shapes.push({ inputs: 3, rows: 98_500, dtype: "bf16", estimator: dense() });

  test.each(shapes)(
    "$rows × $inputs $dtype, $estimator.kind $estimator.options",
    ({ inputs, rows, dtype, estimator }) => {
      const layer = { inputs, rows, dtype, estimator, k: 1, select: twoStage({ recall: 0.5 }) };
      const plan = compileLayers({ [LAYER]: layer }).plan.layers[LAYER]!;
      const random = mulberry32(rows + inputs);
      const weights = Float32Array.from({ length: rows * inputs }, () => roundTo(normal(random), dtype));
      let progress = 0;
      const packed = packLayer(plan, { rows, inputs, dtype, bytes: encode(weights, dtype) }, () => void progress++);
      expect(progress).toBe(rows);
      for (const tensor of packed) expect(tensor.data.byteLength, tensor.role).toBe(tensor.bytes);
      const bytes = Object.fromEntries(packed.map(({ role, data }) => [role, data]));
      const sampled =
        rows < 1000
          ? [...Array(rows).keys()]
          : [0, 1, rows - 1, ...Array.from({ length: 500 }, () => integer(random, 0, rows - 1))];
      for (const row of sampled) {
        const original = weights.subarray(row * inputs, (row + 1) * inputs);
        if (estimator.kind === "dense") expect(storedRow(plan, bytes.weights!, row)).toEqual(original);
        else expectQuantized(plan, bytes, row, original);
      }
    },
  );

  function storedRow(plan: SoftmaxPlan, tiled: Uint8Array, row: number): Float32Array {
    const width = plan.dtype === "f32" ? 4 : 2;
    const stored = new Uint8Array(plan.tiling.steps * 16);
    for (let step = 0; step < plan.tiling.steps; step++) {
      stored.set(partOf(plan, tiled, row, plan.tiling.steps, step, 16), step * 16);
    }
    const values = decode(stored, plan.dtype);
    expect(stored.subarray(plan.inputs * width).every((byte) => byte === 0)).toBe(true);
    return values.subarray(0, plan.inputs);
  }

  function expectQuantized(plan: SoftmaxPlan, bytes: Record<string, Uint8Array>, row: number, original: Float32Array) {
    const { estimator, tiling, inputs, dtype } = plan;
    if (estimator.kind !== "quantized") throw new Error("the layer is quantized");
    const stride = plan.tensors.find(({ role }) => role === "exact")!.shape[1]!;
    const width = dtype === "f32" ? 4 : 2;
    const exact = bytes.exact!.subarray(row * stride * width, (row + 1) * stride * width);
    expect(decode(exact, dtype).subarray(0, inputs)).toEqual(original);
    expect(exact.subarray(inputs * width).every((byte) => byte === 0)).toBe(true);

    const values = new Float32Array(estimator.group * estimator.groups);
    values.set(original);
    const wanted = quantize(values, estimator);
    const { bits } = estimator;
    const planes = [bits === 8 ? 8 : bits < 4 ? 2 : 4, bits === 8 ? 0 : bits % 2 ? 1 : bits === 6 ? 2 : 0] as const;
    const levels = Array.from({ length: tiling.steps }, (_, step) => {
      const part = (tensor: Uint8Array | undefined, width: number) =>
        tensor ? partOf(plan, tensor, row, tiling.steps, step, bits === 8 ? 16 : 4 * width) : new Uint8Array();
      return levelsOf(bits, part(bytes.codes, planes[0]), part(bytes.low_codes, planes[1]), planes);
    });
    expect(levels.flat()).toEqual([...wanted.levels]);
    const words = Math.ceil(estimator.groups / 4);
    const scales = Array.from({ length: words }, (_, word) =>
      bytes.scales ? [...partOf(plan, bytes.scales, row, words, word, 4)] : [1, 0, 0, 0],
    ).flat();
    expect(scales).toEqual([...wanted.scales, ...Array(words * 4 - estimator.groups).fill(0)]);
    const scale = partOf(plan, bytes.row_scales!, row, 1, 0, 4);
    expect(new DataView(scale.buffer, scale.byteOffset).getFloat32(0, true)).toBe(wanted.rowScale);
  }

  /** Bytes of one part of a row in a tensor `[bucket, tile, part, lane]`. */
  function partOf(
    { selection, tiling }: SoftmaxPlan,
    tensor: Uint8Array,
    row: number,
    parts: number,
    part: number,
    size: number,
  ) {
    const bucket = row % selection.buckets;
    const position = (row - bucket) / selection.buckets;
    const lane = position % tiling.lanes;
    const tile = (position - lane) / tiling.lanes;
    const at = (((bucket * tiling.tiles + tile) * parts + part) * tiling.lanes + lane) * size;
    return tensor.subarray(at, at + size);
  }

  /** The numbers that the codes of a step stand for, in the order of their columns. */
  function levelsOf(
    bits: number,
    upper: Uint8Array,
    lower: Uint8Array,
    [main, low]: readonly [number, number],
  ): number[] {
    if (bits === 8) return [...upper].map((byte) => (byte << 24) >> 24);
    const [above, below] = [fieldsOf(upper, main), low > 0 ? fieldsOf(lower, low) : []];
    return above.map((field, i) => {
      const code = ((((field << low) | (below[i] ?? 0)) << (32 - bits)) >> (32 - bits)) as number;
      return bits < 4 ? 2 * code + 1 : code;
    });
  }

  /** Each word of four bytes holds some quads of columns, the first in the lowest bits of its bytes. */
  function fieldsOf(plane: Uint8Array, width: number): number[] {
    const fields: number[] = [];
    for (let at = 0; at < plane.length; at += 4) {
      for (let shift = 0; shift < 8; shift += width) {
        for (let i = 0; i < 4; i++) fields.push((plane[at + i]! >> shift) & (2 ** width - 1));
      }
    }
    return fields;
  }

  function decode(bytes: Uint8Array, dtype: SoftmaxPlan["dtype"]): Float32Array {
    const copy = bytes.slice().buffer;
    if (dtype === "f32") return new Float32Array(copy);
    const halves = new Uint16Array(copy);
    return Float32Array.from(halves, (half) => (dtype === "bf16" ? fromBits(half * 65536) : halfValue(half)));
  }
});

test("all 65,536 patterns of a bf16 are the upper halves of floats", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = bf16ToF32(bits);
    const isNan = (bits & 0x7f80) === 0x7f80 && (bits & 0x7f) !== 0;
    if (isNan) expect(value).toBeNaN();
    else expect(bitsOf(value)).toBe(bits * 65536);
  }
});

test("every f16 is the nearest to itself, and between two the nearer one, or the even one, is taken", () => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    for (const sign of [0, 0x8000]) {
      const value = f16ToF32(sign | bits);
      if (toF16(value) !== (sign | bits)) expect([value, toF16(value)]).toEqual([value, sign | bits]);
      if (bits === 0x7bff) continue;
      const next = f16ToF32(sign | (bits + 1));
      const even = sign | (bits % 2 === 0 ? bits : bits + 1);
      const found = [0.49, 0.5, 0.51].map((share) => toF16(value + (next - value) * share));
      const wanted = [sign | bits, even, sign | (bits + 1)];
      if (String(found) !== String(wanted)) expect([value, found]).toEqual([value, wanted]);
    }
  }
  expect([65519, 65520, Infinity, -Infinity, Number.NaN].map(toF16)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7e00]);
});

test("all 65,536 patterns of an f16 are what IEEE 754 says", () => {
  for (let bits = 0; bits < 65536; bits++) {
    if (!Object.is(f16ToF32(bits), halfValue(bits))) expect([bits, f16ToF32(bits)]).toEqual([bits, halfValue(bits)]);
  }
  expect([0x3c00, 0x8000, 0x7bff, 0x0001, 0x0400, 0x3555, 0xfc00].map(f16ToF32)).toEqual([
    1,
    -0,
    65504,
    2 ** -24,
    2 ** -14,
    0.333251953125,
    Number.NEGATIVE_INFINITY,
  ]);
});

test.each(["f32", "f16", "bf16"] as const)("a row of %s is read from any offset, little-endian", (dtype) => {
  const values = Float32Array.from([1, -2, 0.5, 3, -0.25, 100]);
  const bytes = encode(values, dtype);
  // A tensor may begin at any byte of a file.
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  const read = rowReader({ rows: 2, inputs: 3, dtype, bytes: shifted.subarray(3) });
  const into = new Float32Array(4).fill(9);
  read(1, into);
  expect([...into]).toEqual([3, -0.25, 100, 9]);
});

function clamp(code: number, most: number): number {
  return Math.max(-most, Math.min(most, code));
}

/** By moving the bits of an f16 to where an f32 has them: 112 = 127 - 15 is the difference of the biases. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? 0x80000000 : 0;
  const rest = bits & 0x7fff;
  if (rest >= 0x7c00) return fromBits(sign + 0x7f800000 + (rest & 0x3ff) * 2 ** 13);
  // A subnormal has the exponent of the smallest normal and no leading one; subtracting that one is exact.
  if (rest < 0x400) return (sign ? -1 : 1) * (fromBits((113 << 23) + rest * 2 ** 13) - 2 ** -14);
  return fromBits(sign + rest * 2 ** 13 + (112 << 23));
}
