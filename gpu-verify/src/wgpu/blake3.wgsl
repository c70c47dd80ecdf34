// BLAKE3 subtrees and whole files of at most 1 MiB (BLAKE3 paper, sections 2.1 to 2.4). One workgroup of 256 invocations
// takes one piece: 256 chunks at a time, then the parents above them, then the parents of those quarters.
//
// What is read lies in range as long as the host keeps to what `batch.rs` tests: every piece is followed by zeros up to a
// whole block, and an empty one has a block too.

const CHUNK_SIZE_BYTES = 1024u;
const BLOCK_SIZE_BYTES = 64u;
const BLOCKS_PER_CHUNK = 16u;
const LANES = 256u;

const CHUNK_START = 1u;
const CHUNK_END = 2u;
const PARENT = 4u;

const IV_LOW = vec4<u32>(0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au);
const IV_HIGH = vec4<u32>(0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u);

struct Piece {
    start_block: u32,
    size_bytes: u32,
    // Number of its first chunk in its file; files may have more than 2^32.
    counter_low: u32,
    counter_high: u32,
    // The flag ROOT for a whole file, else 0.
    root: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

struct Value {
    low: vec4<u32>,
    high: vec4<u32>,
}

// The state as four rows, so that one step works on four columns, or four diagonals.
struct State {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> blocks: array<array<vec4<u32>, 4>>;
@group(0) @binding(1) var<storage, read> pieces: array<Piece>;
@group(0) @binding(2) var<storage, read_write> values: array<Value>;

var<workgroup> nodes: array<Value, 256>;
var<workgroup> quarters: array<Value, 4>;

// WGSL has no rotation.
fn rotated_right(words: vec4<u32>, bits: u32) -> vec4<u32> {
    return (words >> vec4<u32>(bits)) | (words << vec4<u32>(32u - bits));
}

fn mix(before: State, x: vec4<u32>, y: vec4<u32>) -> State {
    var s = before;
    s.a = s.a + s.b + x;
    s.d = rotated_right(s.d ^ s.a, 16u);
    s.c = s.c + s.d;
    s.b = rotated_right(s.b ^ s.c, 12u);
    s.a = s.a + s.b + y;
    s.d = rotated_right(s.d ^ s.a, 8u);
    s.c = s.c + s.d;
    s.b = rotated_right(s.b ^ s.c, 7u);
    return s;
}

fn compress(
    value: Value,
    block: array<vec4<u32>, 4>,
    counter: vec2<u32>,
    length_bytes: u32,
    flags: u32,
) -> Value {
    var s = State(value.low, value.high, IV_LOW, vec4<u32>(counter, length_bytes, flags));
    var m0 = block[0];
    var m1 = block[1];
    var m2 = block[2];
    var m3 = block[3];
    for (var round = 0u; round < 7u; round++) {
        s = mix(s, vec4<u32>(m0.xz, m1.xz), vec4<u32>(m0.yw, m1.yw));
        s = State(s.a, s.b.yzwx, s.c.zwxy, s.d.wxyz);
        s = mix(s, vec4<u32>(m2.xz, m3.xz), vec4<u32>(m2.yw, m3.yw));
        s = State(s.a, s.b.wxyz, s.c.zwxy, s.d.yzwx);
        // The permutation 2 6 3 10, 7 0 4 13, 1 11 12 5, 9 14 15 8.
        let n0 = vec4<u32>(m0.z, m1.z, m0.w, m2.z);
        let n1 = vec4<u32>(m1.w, m0.x, m1.x, m3.y);
        let n2 = vec4<u32>(m0.y, m2.w, m3.x, m1.y);
        let n3 = vec4<u32>(m2.y, m3.z, m3.w, m2.x);
        m0 = n0;
        m1 = n1;
        m2 = n2;
        m3 = n3;
    }
    return Value(s.a ^ s.c, s.b ^ s.d);
}

fn parent(left: Value, right: Value, root: u32) -> Value {
    let block = array<vec4<u32>, 4>(left.low, left.high, right.low, right.high);
    return compress(Value(IV_LOW, IV_HIGH), block, vec2<u32>(0u, 0u), BLOCK_SIZE_BYTES, PARENT | root);
}

fn chunk(piece: Piece, index: u32, root: u32) -> Value {
    let size_bytes = min(piece.size_bytes - index * CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES);
    let count = max((size_bytes + BLOCK_SIZE_BYTES - 1u) / BLOCK_SIZE_BYTES, 1u);
    let low = piece.counter_low + index;
    let high = piece.counter_high + select(0u, 1u, low < index);
    var value = Value(IV_LOW, IV_HIGH);
    for (var block = 0u; block < count; block++) {
        let length_bytes = min(size_bytes - block * BLOCK_SIZE_BYTES, BLOCK_SIZE_BYTES);
        let start = select(0u, CHUNK_START, block == 0u);
        let end = select(0u, CHUNK_END | root, block + 1u == count);
        let words = blocks[piece.start_block + index * BLOCKS_PER_CHUNK + block];
        value = compress(value, words, vec2<u32>(low, high), length_bytes, start | end);
    }
    return value;
}

@compute @workgroup_size(256)
fn subtrees(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = pieces[workgroup.x];
    let chunks = max((piece.size_bytes + CHUNK_SIZE_BYTES - 1u) / CHUNK_SIZE_BYTES, 1u);
    let quarter_count = (chunks + LANES - 1u) / LANES;
    for (var quarter = 0u; quarter < quarter_count; quarter++) {
        let first = quarter * LANES;
        var count = min(chunks - first, LANES);
        if lane < count {
            nodes[lane] = chunk(piece, first + lane, select(0u, piece.root, chunks == 1u));
        }
        workgroupBarrier();
        while count > 1u {
            let pairs = count / 2u;
            let left_over = count % 2u;
            let root = select(0u, piece.root, count == 2u && quarter_count == 1u);
            var node = Value(vec4<u32>(0u), vec4<u32>(0u));
            if lane < pairs {
                node = parent(nodes[2u * lane], nodes[2u * lane + 1u], root);
            } else if lane == pairs && left_over == 1u {
                node = nodes[count - 1u];
            }
            workgroupBarrier();
            count = pairs + left_over;
            if lane < count {
                nodes[lane] = node;
            }
            workgroupBarrier();
        }
        if lane == 0u {
            quarters[quarter] = nodes[0];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        var value = quarters[0];
        if quarter_count == 2u {
            value = parent(quarters[0], quarters[1], piece.root);
        } else if quarter_count == 3u {
            value = parent(parent(quarters[0], quarters[1], 0u), quarters[2], piece.root);
        } else if quarter_count == 4u {
            let left = parent(quarters[0], quarters[1], 0u);
            value = parent(left, parent(quarters[2], quarters[3], 0u), piece.root);
        }
        values[workgroup.x] = value;
    }
}
