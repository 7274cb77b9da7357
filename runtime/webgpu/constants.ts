// WebGPU's flag values (W3C WebGPU §5.1.1, §8.1), as numbers: Node has no such globals, and needs none.

export const BUFFER_USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  INDIRECT: 0x100,
} as const;
export const MAP_READ = 0x1;
export const STAGE_COMPUTE = 0x4;
