// Matrix products by ONNX Runtime, which has tuned kernels for every common processor and uses all cores. It is an optional
// package: without it the products are computed in JavaScript, and everything else is the same.

import { type Product, plainProduct } from "../measure/product.ts";

/** How to get it; its own installer would also download libraries for CUDA. */
export const ONNX_INSTALL = "npm install onnxruntime-node --onnxruntime-node-install=skip";

/** What is needed of the package, which is no dependency: it is larger than all others together. */
interface OnnxRuntime {
  readonly InferenceSession: { create(model: Uint8Array): Promise<Session> };
  readonly Tensor: new (type: "float32", data: Float32Array, dimensions: readonly number[]) => object;
  readonly env: { readonly versions: Readonly<Record<string, string | undefined>> };
}

interface Session {
  run(feeds: Readonly<Record<string, object>>): Promise<Readonly<Record<string, { readonly data: unknown }>>>;
}

const PACKAGE = "onnxruntime-node";

/** Products by ONNX Runtime where it is installed and loads, else in JavaScript. */
export async function requestProduct(): Promise<Product> {
  const onnx = (await import(PACKAGE).catch(() => undefined)) as OnnxRuntime | undefined;
  if (!onnx) return plainProduct;
  const { InferenceSession, Tensor, env } = onnx;
  const session = await InferenceSession.create(productModel());
  return {
    name: `ONNX Runtime ${env.versions.node ?? ""}`.trim(),
    async multiply(a, b, { rowsOfA, rowsOfB, inputs }) {
      const tensor = (data: Float32Array, rows: number) => new Tensor("float32", data, [rows, inputs]);
      const { product } = await session.run({ a: tensor(a, rowsOfA), b: tensor(b, rowsOfB) });
      return product!.data as Float32Array;
    },
  };
}

/**
 * An ONNX model of one node, `product = a · bᵀ` (Gemm with transB), in the wire format of protocol buffers. Numbers of fields
 * are those of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, ValueInfoProto.
 */
function productModel(): Uint8Array {
  const integer = 2;
  const transposed = message(5, [text(1, "transB"), number(3, 1), number(20, integer)]);
  const node = message(1, [text(1, "a"), text(1, "b"), text(2, "product"), text(4, "Gemm"), transposed]);
  const float = 1;
  const matrix = (field: number, name: string, dimensions: readonly string[]) => {
    const shape = message(
      2,
      dimensions.map((dimension) => message(1, [text(2, dimension)])),
    );
    return message(field, [text(1, name), message(2, [message(1, [number(1, float), shape])])]);
  };
  const graph = message(7, [
    node,
    text(2, "product"),
    matrix(11, "a", ["rowsOfA", "inputs"]),
    matrix(11, "b", ["rowsOfB", "inputs"]),
    matrix(12, "product", ["rowsOfA", "rowsOfB"]),
  ]);
  const formatVersion = number(1, 8);
  const operators = message(8, [number(2, 13)]);
  return Uint8Array.from([...formatVersion, ...graph, ...operators]);
}

type Bytes = readonly number[];

function varint(value: number): Bytes {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

function number(field: number, value: number): Bytes {
  return [...varint(field << 3), ...varint(value)];
}

function text(field: number, value: string): Bytes {
  return message(field, [[...new TextEncoder().encode(value)]]);
}

function message(field: number, parts: readonly Bytes[]): Bytes {
  const bytes = parts.flat();
  return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
}
