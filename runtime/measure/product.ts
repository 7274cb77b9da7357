// Products of tall matrices: nearly all of the time that it takes to measure a layer. Whoever has a library for them brings
// it (runtime/node/onnx-product.ts); this one needs nothing.

export interface Product {
  /** What computes them, in words. */
  readonly name: string;
  /**
   * `a · bᵀ` in f32.
   * @param a `[rowsOfA, inputs]`. @param b `[rowsOfB, inputs]`. Neither may change until it is done.
   * @returns `[rowsOfA, rowsOfB]`.
   */
  multiply(a: Float32Array, b: Float32Array, shape: ProductShape): Promise<Float32Array>;
}

export interface ProductShape {
  readonly rowsOfA: number;
  readonly rowsOfB: number;
  readonly inputs: number;
}

/** Rows of `a` whose running sums lie in registers while one row of `b` is read. */
const TOGETHER = 4;

/** In JavaScript, on one core: about a tenth as fast as a library. */
export const plainProduct: Product = {
  name: "JavaScript on one core",
  async multiply(a, b, { rowsOfA, rowsOfB, inputs }) {
    const product = new Float32Array(rowsOfA * rowsOfB);
    const whole = rowsOfA - (rowsOfA % TOGETHER);
    for (let j = 0; j < rowsOfB; j++) {
      const row = b.subarray(j * inputs, (j + 1) * inputs);
      for (let i = 0; i < whole; i += TOGETHER) {
        let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
        const [at0, at1, at2, at3] = [i * inputs, (i + 1) * inputs, (i + 2) * inputs, (i + 3) * inputs];
        for (let c = 0; c < inputs; c++) {
          const weight = row[c]!;
          sum0 += a[at0 + c]! * weight;
          sum1 += a[at1 + c]! * weight;
          sum2 += a[at2 + c]! * weight;
          sum3 += a[at3 + c]! * weight;
        }
        product[i * rowsOfB + j] = sum0;
        product[(i + 1) * rowsOfB + j] = sum1;
        product[(i + 2) * rowsOfB + j] = sum2;
        product[(i + 3) * rowsOfB + j] = sum3;
      }
      for (let i = whole; i < rowsOfA; i++) {
        let sum = 0;
        for (let c = 0; c < inputs; c++) sum += a[i * inputs + c]! * row[c]!;
        product[i * rowsOfB + j] = sum;
      }
    }
    return product;
  },
};
