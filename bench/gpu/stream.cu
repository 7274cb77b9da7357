// Reads a buffer once, and does as little else as keeps the compiler from leaving the reads away: what a card can stream.
// Any grid of blocks of any size. work is the buffer's 16-byte chunks, the threads of the grid, and those of a block, in memory
// because kernels are launched with pointers only. Writes the sum of the words that each thread read to sums.
extern "C" __global__ void __launch_bounds__(1024) stream_read(
  const uint4* __restrict__ data, const unsigned long long* __restrict__ work, unsigned int* __restrict__ sums
) {
  constexpr int IN_FLIGHT = 8;
  const unsigned long long chunks = work[0], threads = work[1];
  const unsigned long long thread = blockIdx.x * work[2] + threadIdx.x;
  unsigned int sum = 0;
  unsigned long long at = thread;
  for (; at + (IN_FLIGHT - 1) * threads < chunks; at += IN_FLIGHT * threads) {
    uint4 parts[IN_FLIGHT];
#pragma unroll
    for (int i = 0; i < IN_FLIGHT; i++) parts[i] = data[at + i * threads];
#pragma unroll
    for (int i = 0; i < IN_FLIGHT; i++) sum += parts[i].x + parts[i].y + parts[i].z + parts[i].w;
  }
  for (; at < chunks; at += threads) {
    const uint4 part = data[at];
    sum += part.x + part.y + part.z + part.w;
  }
  sums[thread] = sum;
}
