// fs-verity leaves: the SHA-256 of each 4096 bytes, the last padded with zeros; levels above are leaves of the hashes.
//
// Written after FIPS 180-4, sections 5 and 6, and the kernel's Documentation/filesystems/fsverity.rst. A lane hashes a leaf.

#include "stage.cuh"

constexpr u32 LEAF_SIZE_BYTES = 4096;
constexpr u32 LEAF_BLOCKS = LEAF_SIZE_BYTES / BLOCK_SIZE_BYTES;
// A job of 1 MiB has as many leaves.
constexpr u32 THREADS = 256;
constexpr u32 BLOCKS_PER_MULTIPROCESSOR = 4;

constexpr u32 INITIAL[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

constexpr u32 K[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01,
    0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC,
    0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147,
    0x06CA6351, 0x14292967, 0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116, 0x1E376C08,
    0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208,
    0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

__device__ __forceinline__ u32 swap_bytes(u32 x) { return __byte_perm(x, 0, 0x0123); }

// `words` in the order of the message, big-endian; they are used up.
__device__ __forceinline__ void compress(u32 state[8], u32 words[BLOCK_WORDS], u32 one) {
    u32 v[8];
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        v[i] = state[i];
    }
#pragma unroll
    for (u32 t = 0; t < 64; ++t) {
        if (t >= 16) {
            u32 x = words[(t - 15) % 16], y = words[(t - 2) % 16];
            u32 small = rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
            u32 large = rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10;
            u32 sum = add(words[t % 16], words[(t - 7) % 16], one);
            words[t % 16] = add(add(sum, small, one), large, one);
        }
        u32 &a = v[(64 - t) % 8], &b = v[(65 - t) % 8], &c = v[(66 - t) % 8], &d = v[(67 - t) % 8];
        u32 &e = v[(68 - t) % 8], &f = v[(69 - t) % 8], &g = v[(70 - t) % 8], &h = v[(71 - t) % 8];
        u32 choice = (e & f) ^ (~e & g);
        u32 majority = (a & b) ^ (a & c) ^ (b & c);
        u32 of_e = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        u32 of_a = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        u32 sum = add(add(words[t % 16], K[t], one), h, one);
        sum = add(add(sum, choice, one), of_e, one);
        d = add(d, sum, one);
        h = add(add(sum, majority, one), of_a, one);
    }
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        state[i] = add(state[i], v[i], one);
    }
}

// hashes[job.first + i]: of leaf i of the job.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_MULTIPROCESSOR)
    verity_leaves(const Job *jobs, uint4 *hashes, u32 one) {
    extern __shared__ u8 shared[];
    u8 *tiles = shared + threadIdx.x / LANES * STAGE_SIZE_BYTES;

    Job job = jobs[blockIdx.x];
    u32 at = threadIdx.x * LEAF_SIZE_BYTES;
    u32 group_start = threadIdx.x / LANES * LANES * LEAF_SIZE_BYTES;
    u32 group_end = group_start + LANES * LEAF_SIZE_BYTES;
    if (group_start >= job.size_bytes) {
        return;
    }
    bool is_aligned = u64(job.bytes) % UNIT_SIZE_BYTES == 0;
    bool is_staged = group_end <= job.size_bytes
                     && (is_aligned || job.flags & JOB_GOES_ON || group_end + UNIT_SIZE_BYTES <= job.size_bytes);
    if (!is_staged && at >= job.size_bytes) {
        return;
    }

    Staged<LEAF_SIZE_BYTES> staged;
    if (is_staged) {
        staged.start(job.bytes + group_start, tiles);
    }
    u32 state[8];
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        state[i] = INITIAL[i];
    }
#pragma unroll 1
    for (u32 block = 0; block < LEAF_BLOCKS; ++block) {
        u32 words[BLOCK_WORDS];
        if (is_staged) {
            staged.next(words);
        } else {
            u32 done = at + block * BLOCK_SIZE_BYTES;
            read_block(words, job.bytes + done, done < job.size_bytes ? job.size_bytes - done : 0);
        }
#pragma unroll
        for (u32 i = 0; i < BLOCK_WORDS; ++i) {
            words[i] = swap_bytes(words[i]);
        }
        compress(state, words, one);
    }
    // What pads every message of 4096 bytes: a bit, zeros, the length in bits.
    u32 padding[BLOCK_WORDS] = {0x80000000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 * LEAF_SIZE_BYTES};
    compress(state, padding, one);
    uint4 *hash = hashes + 2 * (job.first + threadIdx.x);
    hash[0] = make_uint4(swap_bytes(state[0]), swap_bytes(state[1]), swap_bytes(state[2]), swap_bytes(state[3]));
    hash[1] = make_uint4(swap_bytes(state[4]), swap_bytes(state[5]), swap_bytes(state[6]), swap_bytes(state[7]));
}
