// BLAKE3 trees: one chaining value (or root) for each job of at most 1 MiB, then the roots above them.
//
// Written after the BLAKE3 paper, section 2. A block of threads hashes one job: a lane for each chunk, then the tree level
// by level in shared memory, where a value without a partner moves up unchanged. That is the paper's tree: the left side of
// every parent is full.

#include "stage.cuh"

// With two blocks of so many on a multiprocessor, the ends of one block's tree, where few lanes have work, pass beside the
// chunks of the other.
constexpr u32 WARPS = 16;
constexpr u32 BLOCKS_PER_MULTIPROCESSOR = 2;
constexpr u32 THREADS = WARPS * LANES;
constexpr u32 CHUNK_SIZE_BYTES = 1024;
constexpr u32 CHUNKS_MAX = 1024;

constexpr u32 CHUNK_START = 1;
constexpr u32 CHUNK_END = 2;
constexpr u32 PARENT = 4;
constexpr u32 ROOT = 8;

struct Value {
    uint4 low, high;
};

constexpr u32 IV[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

// Which message word stands where in each of the seven rounds: the permutation of section 2.2, applied again and again.
constexpr u32 ORDER[7][BLOCK_WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

__device__ __forceinline__ void mix(u32 &a, u32 &b, u32 &c, u32 &d, u32 x, u32 y, u32 one) {
    a = add(add(a, x, one), b, one);
    d = rotate_right(d ^ a, 16);
    c = add(c, d, one);
    b = rotate_right(b ^ c, 12);
    a = add(add(a, y, one), b, one);
    d = rotate_right(d ^ a, 8);
    c = add(c, d, one);
    b = rotate_right(b ^ c, 7);
}

__device__ __forceinline__ void compress(
    u32 chaining[8], const u32 words[BLOCK_WORDS], u64 counter, u32 size_bytes, u32 flags, u32 one) {
    u32 v[16];
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        v[i] = chaining[i];
    }
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        v[8 + i] = IV[i];
    }
    v[12] = u32(counter);
    v[13] = u32(counter >> 32);
    v[14] = size_bytes;
    v[15] = flags;
#pragma unroll
    for (u32 round = 0; round < 7; ++round) {
        const u32 *at = ORDER[round];
        mix(v[0], v[4], v[8], v[12], words[at[0]], words[at[1]], one);
        mix(v[1], v[5], v[9], v[13], words[at[2]], words[at[3]], one);
        mix(v[2], v[6], v[10], v[14], words[at[4]], words[at[5]], one);
        mix(v[3], v[7], v[11], v[15], words[at[6]], words[at[7]], one);
        mix(v[0], v[5], v[10], v[15], words[at[8]], words[at[9]], one);
        mix(v[1], v[6], v[11], v[12], words[at[10]], words[at[11]], one);
        mix(v[2], v[7], v[8], v[13], words[at[12]], words[at[13]], one);
        mix(v[3], v[4], v[9], v[14], words[at[14]], words[at[15]], one);
    }
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        chaining[i] = v[i] ^ v[i + 8];
    }
}

__device__ __forceinline__ Value parent(Value left, Value right, u32 flags, u32 one) {
    u32 words[BLOCK_WORDS] = {left.low.x,  left.low.y,  left.low.z,   left.low.w,   left.high.x,  left.high.y,
                              left.high.z, left.high.w, right.low.x,  right.low.y,  right.low.z,  right.low.w,
                              right.high.x, right.high.y, right.high.z, right.high.w};
    u32 chaining[8];
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        chaining[i] = IV[i];
    }
    compress(chaining, words, 0, BLOCK_SIZE_BYTES, PARENT | flags, one);
    return {make_uint4(chaining[0], chaining[1], chaining[2], chaining[3]),
            make_uint4(chaining[4], chaining[5], chaining[6], chaining[7])};
}

// Merges `count` values to one, in place, with all threads of the block. Values may lie in shared or device memory.
__device__ __forceinline__ void merge(Value *values, u32 count, bool is_root, u32 one) {
    while (count > 1) {
        u32 flags = is_root && count == 2 ? ROOT : 0;
        u32 pairs = count / 2;
        for (u32 first = 0; first < pairs; first += THREADS) {
            u32 i = first + threadIdx.x;
            Value left, right;
            if (i < pairs) {
                left = values[2 * i];
                right = values[2 * i + 1];
            }
            // What the others read has been read before anything is written over it.
            __syncthreads();
            if (i < pairs) {
                values[i] = parent(left, right, flags, one);
            }
        }
        __syncthreads();
        if (count % 2 == 1 && threadIdx.x == 0) {
            values[pairs] = values[count - 1];
        }
        __syncthreads();
        count = pairs + count % 2;
    }
}

// values[i]: of job i, the chaining value, or the root where the job is a whole file.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_MULTIPROCESSOR)
    blake3_subtrees(const Job *jobs, Value *values, u32 one) {
    extern __shared__ u8 shared[];
    Value *tree = reinterpret_cast<Value *>(shared);
    u8 *tiles = shared + CHUNKS_MAX * sizeof(Value) + threadIdx.x / LANES * STAGE_SIZE_BYTES;

    Job job = jobs[blockIdx.x];
    u32 chunks = job.size_bytes == 0 ? 1 : (job.size_bytes - 1) / CHUNK_SIZE_BYTES + 1;
    bool is_root = job.flags & JOB_IS_ROOT;
    bool is_aligned = u64(job.bytes) % UNIT_SIZE_BYTES == 0;

    for (u32 group = threadIdx.x / LANES; group * LANES < chunks; group += WARPS) {
        u32 chunk = group * LANES + threadIdx.x % LANES;
        u32 at = chunk * CHUNK_SIZE_BYTES;
        u32 group_end = (group + 1) * LANES * CHUNK_SIZE_BYTES;
        bool is_staged =
            group_end <= job.size_bytes
            && (is_aligned || job.flags & JOB_GOES_ON || group_end + UNIT_SIZE_BYTES <= job.size_bytes);
        u32 size_bytes = at < job.size_bytes ? min(job.size_bytes - at, CHUNK_SIZE_BYTES) : 0;
        u32 blocks = chunk >= chunks ? 0 : size_bytes == 0 ? 1 : (size_bytes - 1) / BLOCK_SIZE_BYTES + 1;

        Staged<CHUNK_SIZE_BYTES> staged;
        if (is_staged) {
            staged.start(job.bytes + u64(group) * LANES * CHUNK_SIZE_BYTES, tiles);
        }
        u32 chaining[8];
#pragma unroll
        for (u32 i = 0; i < 8; ++i) {
            chaining[i] = IV[i];
        }
        u32 end = is_root && chunks == 1 ? CHUNK_END | ROOT : CHUNK_END;
#pragma unroll 1
        for (u32 block = 0; block < blocks; ++block) {
            u32 words[BLOCK_WORDS];
            u32 left = size_bytes - block * BLOCK_SIZE_BYTES;
            if (is_staged) {
                staged.next(words);
            } else {
                read_block(words, job.bytes + at + block * BLOCK_SIZE_BYTES, left);
            }
            u32 flags = (block == 0 ? CHUNK_START : 0) | (block == blocks - 1 ? end : 0);
            compress(chaining, words, job.first + chunk, min(left, BLOCK_SIZE_BYTES), flags, one);
        }
        if (blocks > 0) {
            tree[chunk] = {make_uint4(chaining[0], chaining[1], chaining[2], chaining[3]),
                           make_uint4(chaining[4], chaining[5], chaining[6], chaining[7])};
        }
    }
    __syncthreads();
    merge(tree, chunks, is_root, one);
    if (threadIdx.x == 0) {
        values[blockIdx.x] = tree[0];
    }
}

// The values of one file, one for each of its jobs, lie next to one another. Mirrored by `Span` in src/cuda/kernels.rs.
struct Span {
    u32 first, count;
};

// Merges each span to a root at its first place, one block of threads for each. A single value is the root already.
extern "C" __global__ void __launch_bounds__(THREADS) blake3_roots(const Span *spans, Value *values, u32 one) {
    Span span = spans[blockIdx.x];
    merge(values + span.first, span.count, true, one);
}
