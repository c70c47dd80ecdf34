// The leaf hashes of an fs-verity tree: SHA-256 (FIPS 180-4, section 6.2) of 4096 bytes each, one invocation per leaf.
//
// What is read lies in range as long as the host pads the last leaf with zeros, which `batch.rs` tests.

const BLOCKS_PER_LEAF = 64u;
// Of the padding: the length of a leaf in bits.
const LEAF_SIZE_BITS = 32768u;

// As for the other kernel; only the number of leaves is used.
struct Piece {
    start_block: u32,
    leaf_count: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
    unused_3: u32,
    unused_4: u32,
    unused_5: u32,
}

// The words a to d and e to h.
struct Value {
    low: vec4<u32>,
    high: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> blocks: array<array<vec4<u32>, 4>>;
@group(0) @binding(1) var<storage, read> pieces: array<Piece>;
@group(0) @binding(2) var<storage, read_write> values: array<Value>;

// WGSL has no rotation.
fn rotated_right(word: u32, bits: u32) -> u32 {
    return (word >> bits) | (word << (32u - bits));
}

// SHA-256 counts in big-endian words.
fn swapped(words: vec4<u32>) -> vec4<u32> {
    let eight = vec4<u32>(8u);
    let outer = (words << vec4<u32>(24u)) | (words >> vec4<u32>(24u));
    return outer | ((words & vec4<u32>(0xFF00u)) << eight) | ((words >> eight) & vec4<u32>(0xFF00u));
}

fn small_sigma_0(word: u32) -> u32 {
    return rotated_right(word, 7u) ^ rotated_right(word, 18u) ^ (word >> 3u);
}

fn small_sigma_1(word: u32) -> u32 {
    return rotated_right(word, 17u) ^ rotated_right(word, 19u) ^ (word >> 10u);
}

// The next four words of the message schedule after these sixteen.
fn scheduled(w0: vec4<u32>, w1: vec4<u32>, w2: vec4<u32>, w3: vec4<u32>) -> vec4<u32> {
    let x = small_sigma_1(w3.z) + w2.y + small_sigma_0(w0.y) + w0.x;
    let y = small_sigma_1(w3.w) + w2.z + small_sigma_0(w0.z) + w0.y;
    let z = small_sigma_1(x) + w2.w + small_sigma_0(w0.w) + w0.z;
    let w = small_sigma_1(y) + w3.x + small_sigma_0(w1.x) + w0.w;
    return vec4<u32>(x, y, z, w);
}

// One round; `word` is that of the schedule with the round's constant added.
fn round(s: Value, word: u32) -> Value {
    let e = s.high.x;
    let a = s.low.x;
    let sigma_1 = rotated_right(e, 6u) ^ rotated_right(e, 11u) ^ rotated_right(e, 25u);
    let choice = (e & s.high.y) ^ (~e & s.high.z);
    let first = s.high.w + sigma_1 + choice + word;
    let sigma_0 = rotated_right(a, 2u) ^ rotated_right(a, 13u) ^ rotated_right(a, 22u);
    let majority = (a & s.low.y) ^ (a & s.low.z) ^ (s.low.y & s.low.z);
    return Value(vec4<u32>(first + sigma_0 + majority, s.low.xyz), vec4<u32>(s.low.w + first, s.high.xyz));
}

fn four_rounds(s: Value, words: vec4<u32>) -> Value {
    return round(round(round(round(s, words.x), words.y), words.z), words.w);
}

fn compress(before: Value, block: array<vec4<u32>, 4>) -> Value {
    var s = before;
    var w0 = block[0];
    var w1 = block[1];
    var w2 = block[2];
    var w3 = block[3];
    s = four_rounds(s, w0 + vec4<u32>(0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u));
    s = four_rounds(s, w1 + vec4<u32>(0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u));
    s = four_rounds(s, w2 + vec4<u32>(0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u));
    s = four_rounds(s, w3 + vec4<u32>(0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u));
    w0 = scheduled(w0, w1, w2, w3);
    s = four_rounds(s, w0 + vec4<u32>(0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu));
    w1 = scheduled(w1, w2, w3, w0);
    s = four_rounds(s, w1 + vec4<u32>(0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu));
    w2 = scheduled(w2, w3, w0, w1);
    s = four_rounds(s, w2 + vec4<u32>(0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u));
    w3 = scheduled(w3, w0, w1, w2);
    s = four_rounds(s, w3 + vec4<u32>(0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u));
    w0 = scheduled(w0, w1, w2, w3);
    s = four_rounds(s, w0 + vec4<u32>(0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u));
    w1 = scheduled(w1, w2, w3, w0);
    s = four_rounds(s, w1 + vec4<u32>(0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u));
    w2 = scheduled(w2, w3, w0, w1);
    s = four_rounds(s, w2 + vec4<u32>(0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u));
    w3 = scheduled(w3, w0, w1, w2);
    s = four_rounds(s, w3 + vec4<u32>(0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u));
    w0 = scheduled(w0, w1, w2, w3);
    s = four_rounds(s, w0 + vec4<u32>(0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u));
    w1 = scheduled(w1, w2, w3, w0);
    s = four_rounds(s, w1 + vec4<u32>(0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u));
    w2 = scheduled(w2, w3, w0, w1);
    s = four_rounds(s, w2 + vec4<u32>(0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u));
    w3 = scheduled(w3, w0, w1, w2);
    s = four_rounds(s, w3 + vec4<u32>(0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u));
    return Value(before.low + s.low, before.high + s.high);
}

@compute @workgroup_size(64)
fn leaves(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let leaf = invocation.x;
    if leaf >= pieces[0].leaf_count {
        return;
    }
    var value = Value(
        vec4<u32>(0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au),
        vec4<u32>(0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u),
    );
    for (var block = 0u; block < BLOCKS_PER_LEAF; block++) {
        let words = blocks[leaf * BLOCKS_PER_LEAF + block];
        let message = array<vec4<u32>, 4>(swapped(words[0]), swapped(words[1]), swapped(words[2]), swapped(words[3]));
        value = compress(value, message);
    }
    let zeros = vec4<u32>(0u);
    let end = array<vec4<u32>, 4>(
        vec4<u32>(0x80000000u, 0u, 0u, 0u),
        zeros,
        zeros,
        vec4<u32>(0u, 0u, 0u, LEAF_SIZE_BITS),
    );
    value = compress(value, end);
    values[leaf] = Value(swapped(value.low), swapped(value.high));
}
