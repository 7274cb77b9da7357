// WGSL and CUDA for highlighting: words of the languages around the grammar that all C-like languages share.

import { LanguageSupport, StreamLanguage } from "@codemirror/language";
import { clike } from "@codemirror/legacy-modes/mode/clike";
import type { Target } from "../../runtime/plan.ts";

const words = (text: string) => Object.fromEntries(text.split(/\s+/).map((word) => [word, true]));

/** `@compute`, `#pragma`: what is said to the compiler of the source. */
const marked = (stream: { eatWhile(pattern: RegExp): void; skipToEnd(): void }) => {
  stream.eatWhile(/[\w.]/);
  return "meta";
};

/** W3C WGSL §15 and §17. */
const wgsl = clike({
  name: "wgsl",
  keywords:
    words(`alias break case const const_assert continue continuing default diagnostic discard else enable fn for if let
    loop override requires return struct switch var while`),
  types: words(`bool i32 u32 f32 f16 vec2 vec3 vec4 array atomic mat2x2 mat3x3 mat4x4 ptr`),
  builtin: words(`bitcast select dot max min abs exp log sqrt tanh clamp floor round countOneBits unpack4xI8 pack4xI8
    dot4I8Packed unpack2x16float workgroupBarrier storageBarrier workgroupUniformLoad atomicAdd atomicMax atomicOr atomicLoad
    atomicStore subgroupAdd subgroupMax subgroupBroadcastFirst`),
  atoms: words("true false storage uniform workgroup private function read write read_write"),
  number: /^(?:0x[\da-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)[iufh]?/i,
  hooks: { "@": marked },
});

const cuda = clike({
  name: "cuda",
  keywords:
    words(`alignas asm auto break case const constexpr continue default do else enum extern for if inline namespace
    reinterpret_cast return sizeof static static_assert static_cast struct switch template typedef typename using volatile while
    __device__ __forceinline__ __global__ __launch_bounds__ __restrict__ __shared__`),
  types: words(`bool char double float float2 float4 int int2 int4 long short signed uint2 uint3 uint4 unsigned void`),
  builtin:
    words(`__syncthreads __syncwarp __ldg __ldcg __threadfence __shfl_xor_sync __shfl_sync __reduce_or_sync __dp4a
    __float_as_uint __uint_as_float __fmul_rn __fadd_rn __int2float_rn atomicAdd atomicMax atomicOr make_uint2 make_float2
    make_float4 min max blockIdx threadIdx`),
  atoms: words("true false"),
  number: /^(?:0x[\da-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)[uflUFL]*/i,
  hooks: { "#": marked },
});

export const LANGUAGES: Readonly<Record<Target, LanguageSupport>> = {
  wgsl: new LanguageSupport(StreamLanguage.define(wgsl)),
  cuda: new LanguageSupport(StreamLanguage.define(cuda)),
};
