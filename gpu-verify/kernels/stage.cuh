// How a warp reads 32 rows of bytes (BLAKE3 chunks, fs-verity leaves), one row for each lane, 64 bytes at a time.
//
// Lanes that read their own row directly touch 32 far-apart places at once. So the warp copies a tile of 32 × 64 bytes into
// shared memory together, four lanes for each row, while it works on the tile before; a row's four 16-byte units lie there
// in an order that keeps both writing and reading free of bank conflicts.

#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 LANES = 32;
// Tiles in flight for each warp. Three were slower: they leave room for fewer warps.
constexpr u32 STAGES = 2;
constexpr u32 BLOCK_SIZE_BYTES = 64;
constexpr u32 BLOCK_WORDS = BLOCK_SIZE_BYTES / 4;
constexpr u32 UNIT_SIZE_BYTES = 16;
constexpr u32 TILE_SIZE_BYTES = LANES * BLOCK_SIZE_BYTES;
constexpr u32 STAGE_SIZE_BYTES = STAGES * TILE_SIZE_BYTES;

// At most 1 MiB, hashed by one block of threads. Mirrored by `Job` in src/cuda/kernels.rs.
struct Job {
    const u8 *bytes;
    // BLAKE3: index of the first chunk in its file. SHA-256: index of the first leaf in the output.
    u64 first;
    u32 size_bytes;
    u32 flags;
};

// The job is a whole file or tensor.
constexpr u32 JOB_IS_ROOT = 1;
// The bytes go on after the job, for at least one unit.
constexpr u32 JOB_GOES_ON = 2;

// Addition on the multiplier. Shifts, permutations and logic compete for the one integer pipe (64 lanes a cycle); `one` is
// an argument of the kernel, always 1, so that the compiler can't turn this into an addition on that pipe. Measured on an
// H200: 8 % faster for BLAKE3 than plain additions.
__device__ __forceinline__ u32 add(u32 a, u32 b, u32 one) {
    u32 sum;
    asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(one), "r"(b));
    return sum;
}

__device__ __forceinline__ u32 rotate_right(u32 x, u32 bits) {
    switch (bits) {
    case 8:
        return __byte_perm(x, x, 0x0321);
    case 16:
        return __byte_perm(x, x, 0x1032);
    default:
        return __funnelshift_r(x, x, bits);
    }
}

__device__ __forceinline__ uint4 read_shared(u32 at) {
    uint4 unit;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(unit.x), "=r"(unit.y), "=r"(unit.z), "=r"(unit.w)
                 : "r"(at)
                 : "memory");
    return unit;
}

// Reads 32 full rows that lie PITCH bytes apart. Any address: where it is not a multiple of 16, units are read from the
// address below, one unit further than the rows, and shifted.
template <u32 PITCH> class Staged {
    const u8 *from;
    u32 write_at, read_at, shift, block;
    uint4 carried;

    __device__ __forceinline__ void fetch() {
        if (block < PITCH / BLOCK_SIZE_BYTES) {
            u32 to = write_at + block % STAGES * TILE_SIZE_BYTES;
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                             :
                             : "r"(to + i * 8 * BLOCK_SIZE_BYTES), "l"(from + u64(i) * 8 * PITCH)
                             : "memory");
            }
            from += BLOCK_SIZE_BYTES;
        }
        // Also when there is nothing more to fetch, so that the number of groups in flight is always the same.
        asm volatile("cp.async.commit_group;" ::: "memory");
        ++block;
    }

public:
    // `tiles` is this warp's part of shared memory.
    __device__ __forceinline__ void start(const u8 *rows, u8 *tiles) {
        u32 lane = threadIdx.x % LANES;
        u32 base = u32(__cvta_generic_to_shared(tiles));
        write_at = base + lane / 4 * BLOCK_SIZE_BYTES + ((lane % 4) ^ (lane / 8 % 4)) * UNIT_SIZE_BYTES;
        read_at = base + lane * BLOCK_SIZE_BYTES + (lane / 2 % 4) * UNIT_SIZE_BYTES;
        shift = u32(u64(rows)) % UNIT_SIZE_BYTES;
        rows -= shift;
        if (shift != 0) {
            carried = *reinterpret_cast<const uint4 *>(rows + u64(lane) * PITCH);
            rows += UNIT_SIZE_BYTES;
        }
        from = rows + u64(lane / 4) * PITCH + lane % 4 * UNIT_SIZE_BYTES;
        block = 0;
        // Tiles of the rows before may still be read by other lanes.
        __syncwarp();
#pragma unroll
        for (u32 i = 0; i < STAGES; ++i) {
            fetch();
        }
    }

    // The next 64 bytes of this lane's row. All lanes call it together.
    __device__ __forceinline__ void next(u32 words[BLOCK_WORDS]) {
        asm volatile("cp.async.wait_group %0;" : : "n"(STAGES - 1) : "memory");
        __syncwarp();
        u32 tile = read_at + (block - STAGES) % STAGES * TILE_SIZE_BYTES;
        u32 wide[BLOCK_WORDS + 4];
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            uint4 unit = read_shared(tile ^ i * UNIT_SIZE_BYTES);
            wide[4 * i + 4] = unit.x;
            wide[4 * i + 5] = unit.y;
            wide[4 * i + 6] = unit.z;
            wide[4 * i + 7] = unit.w;
        }
        __syncwarp();
        fetch();
        if (shift == 0) {
#pragma unroll
            for (u32 i = 0; i < BLOCK_WORDS; ++i) {
                words[i] = wide[i + 4];
            }
            return;
        }
        wide[0] = carried.x;
        wide[1] = carried.y;
        wide[2] = carried.z;
        wide[3] = carried.w;
        carried = make_uint4(wide[16], wide[17], wide[18], wide[19]);
        u32 bits = shift % 4 * 8;
        // Written out for each distance in words: an index known at run time would move the words to local memory.
        switch (shift / 4) {
        case 0:
            shifted<0>(words, wide, bits);
            break;
        case 1:
            shifted<1>(words, wide, bits);
            break;
        case 2:
            shifted<2>(words, wide, bits);
            break;
        default:
            shifted<3>(words, wide, bits);
            break;
        }
    }

private:
    template <u32 DISTANCE>
    static __device__ __forceinline__ void shifted(u32 words[BLOCK_WORDS], const u32 wide[BLOCK_WORDS + 4], u32 bits) {
#pragma unroll
        for (u32 i = 0; i < BLOCK_WORDS; ++i) {
            words[i] = __funnelshift_r(wide[i + DISTANCE], wide[i + DISTANCE + 1], bits);
        }
    }
};

// Up to 64 bytes, wherever they lie, followed by zeros. For the ends of jobs: reads nothing outside them.
__device__ __forceinline__ void read_block(u32 words[BLOCK_WORDS], const u8 *bytes, u32 size_bytes) {
    u32 misaligned = u32(u64(bytes)) % UNIT_SIZE_BYTES;
    if (size_bytes >= BLOCK_SIZE_BYTES && misaligned == 0) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            uint4 unit = reinterpret_cast<const uint4 *>(bytes)[i];
            words[4 * i] = unit.x;
            words[4 * i + 1] = unit.y;
            words[4 * i + 2] = unit.z;
            words[4 * i + 3] = unit.w;
        }
        return;
    }
    if (size_bytes >= BLOCK_SIZE_BYTES && misaligned % 4 == 0) {
#pragma unroll
        for (u32 i = 0; i < BLOCK_WORDS; ++i) {
            words[i] = reinterpret_cast<const u32 *>(bytes)[i];
        }
        return;
    }
#pragma unroll
    for (u32 i = 0; i < BLOCK_WORDS; ++i) {
        u32 word = 0;
#pragma unroll
        for (u32 j = 0; j < 4; ++j) {
            u32 at = 4 * i + j;
            if (at < size_bytes) {
                word |= u32(bytes[at]) << 8 * j;
            }
        }
        words[i] = word;
    }
}
