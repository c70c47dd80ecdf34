//! Hostile and honest headers.

use proptest::prelude::*;

use super::*;

/// A header being written, field by field as the format wants it.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn start(version: u32, tensors: u64, entries: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(version).u64(tensors).u64(entries)
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.u64(u64::try_from(text.len()).unwrap()).raw(text.as_bytes())
    }

    fn tensor(self, name: &str, innermost_first: &[u64], ggml_type: u32, offset: u64) -> Self {
        let record = self.text(name).u32(u32::try_from(innermost_first.len()).unwrap());
        innermost_first.iter().fold(record, |record, dimension| record.u64(*dimension)).u32(ggml_type).u64(offset)
    }

    /// Zeros up to the alignment, then `data_size_bytes` of data, all of it parsed.
    fn parse_with(self, alignment: usize, data_size_bytes: usize) -> Result<Header, HeaderError> {
        let mut bytes = self.0;
        bytes.resize(bytes.len().next_multiple_of(alignment) + data_size_bytes, 0);
        let parsed = parse_header(&bytes, u64::try_from(bytes.len()).unwrap());
        parsed.map(|header| header.expect("all bytes are there"))
    }

    fn code(self, data_size_bytes: usize) -> &'static str {
        self.parse_with(32, data_size_bytes).map_or_else(|fault| fault.code(), |_| "accepted")
    }
}

const F32: u32 = 0;
const I8: u32 = 24;
const Q4_K: u32 = 12;

/// Two tensors behind every type of metadata.
fn honest() -> Bytes {
    let array = Bytes::default().u32(ARRAY).u64(2).u32(STRING).u64(1).text("x").u32(UINT32).u64(1).u32(9);
    Bytes::start(3, 2, 6)
        .text("general.architecture")
        .u32(STRING)
        .text("llama")
        .text("a.flag")
        .u32(BOOL)
        .raw(&[1])
        .text("a.double")
        .u32(12)
        .u64(0)
        .text("a.flags")
        .u32(ARRAY)
        .u32(BOOL)
        .u64(3)
        .raw(&[0, 1, 0])
        .text("a.scores")
        .u32(ARRAY)
        .u32(6)
        .u64(2)
        .u64(0)
        .text("a.nested")
        .u32(ARRAY)
        .raw(&array.0)
        .tensor("b", &[256, 2], Q4_K, 32)
        .tensor("a", &[5], I8, 0)
}

#[test]
fn an_honest_header_is_placed_in_file_order() {
    let size = honest().0.len().next_multiple_of(32);
    let begin = u64::try_from(size).unwrap();
    let header = honest().parse_with(32, 32 + 288).unwrap();
    assert_eq!((header.size_bytes, header.alignment_bytes), (begin, Some(32)));
    let placed: Vec<_> = header.tensors.iter().map(|t| (&*t.name, t.dtype.name(), &*t.shape, t.begin, t.end)).collect();
    assert_eq!(
        placed,
        [("a", "I8", &[5][..], begin, begin + 5), ("b", "Q4_K", &[2, 256], begin + 32, begin + 32 + 288)]
    );
    let version_2 = Bytes::start(2, 0, 0).parse_with(32, 0).unwrap();
    assert_eq!((version_2.size_bytes, version_2.tensors.len()), (32, 0));
}

#[test]
fn the_last_tensor_may_be_padded_and_no_more() {
    let one = || Bytes::start(3, 1, 0).tensor("a", &[5], I8, 0);
    for (data_size_bytes, code) in [(4, "tensor_past_end"), (5, "accepted"), (32, "accepted"), (33, "trailing_bytes")] {
        assert_eq!(one().code(data_size_bytes), code, "{data_size_bytes}");
    }
}

#[test]
fn a_file_without_tensors_may_end_before_its_padding() {
    for end in 24..=32 {
        let mut bytes = Bytes::start(3, 0, 0).0;
        bytes.resize(end, 0);
        let size_bytes = u64::try_from(end).unwrap();
        assert_eq!(parse_header(&bytes, size_bytes).unwrap().unwrap().size_bytes, size_bytes);
    }
    assert_eq!(Bytes::start(3, 0, 0).parse_with(33, 0).unwrap_err().code(), "trailing_bytes");
    assert_eq!(Bytes::start(3, 0, 0).raw(&[0, 0, 1]).code(0), "padding_not_zero");
}

#[test]
fn the_alignment_is_the_files_own() {
    let with = |alignment: u32, kind: u32| {
        Bytes::start(3, 2, 1).text("general.alignment").u32(kind).u32(alignment).tensor("a", &[1], F32, 0).tensor(
            "b",
            &[1],
            F32,
            u64::from(alignment),
        )
    };
    assert_eq!(with(256, UINT32).parse_with(256, 260).unwrap().alignment_bytes, Some(256));
    assert_eq!(with(4, UINT32).parse_with(4, 8).unwrap().alignment_bytes, Some(4));
    for (alignment, kind) in [(0, UINT32), (24, UINT32), (1 << 17, UINT32), (32, 5)] {
        assert_eq!(with(alignment, kind).code(0), "header_alignment", "{alignment}");
    }
}

#[test]
fn each_hostile_header_gets_its_own_name() {
    let entry = |key: &str| Bytes::start(3, 0, 1).text(key);
    let one = |shape: &[u64], kind| Bytes::start(3, 1, 0).tensor("a", shape, kind, 0);
    let two = |offset| Bytes::start(3, 2, 0).tensor("a", &[8], F32, 0).tensor("b", &[8], F32, offset);
    let deep = (0..=DEPTH_MAX).fold(entry("k").u32(ARRAY), |bytes, _| bytes.u32(ARRAY).u64(1));
    let cases: [(Bytes, usize, &str); 36] = [
        (Bytes(b"GGML".to_vec()).u32(3).u64(0).u64(0), 0, "header_magic"),
        (Bytes::start(0, 0, 0), 0, "header_version"),
        (Bytes::start(1, 0, 0), 0, "header_version"),
        (Bytes::start(4, 0, 0), 0, "header_version"),
        (Bytes::start(3_u32.swap_bytes(), 0, 0), 0, "header_big_endian"),
        (Bytes::start(2_u32.swap_bytes(), 0, 0), 0, "header_big_endian"),
        (Bytes::start(3, u64::MAX, 0), 0, "too_many_tensors"),
        (Bytes::start(3, 0, u64::MAX), 0, "header_metadata"),
        (Bytes::start(3, 0, 1), 0, "header_metadata"),
        (Bytes::start(3, 9, 0), 0, "header_past_end"),
        (entry("").u32(0).raw(&[0]), 0, "header_metadata"),
        (entry(&"k".repeat(KEY_SIZE_BYTES_MAX + 1)).u32(0).raw(&[0]), 0, "header_metadata"),
        (entry("k").u32(13), 0, "header_metadata"),
        (entry("k").u32(BOOL).raw(&[2]), 0, "header_metadata"),
        (entry("k").u32(ARRAY).u32(BOOL).u64(2).raw(&[1, 2]), 0, "header_metadata"),
        (entry("k").u32(ARRAY).u32(13).u64(0), 0, "header_metadata"),
        (entry("k").u32(ARRAY).u32(12).u64(u64::MAX), 0, "header_too_large"),
        (entry("k").u32(ARRAY).u32(0).u64(1 << 60), 0, "header_too_large"),
        (entry("k").u32(ARRAY).u32(STRING).u64(u64::MAX), 0, "header_past_end"),
        (entry("k").u32(STRING).u64(u64::MAX), 0, "header_too_large"),
        (entry("k").u32(STRING).u64(1000), 0, "header_past_end"),
        (deep, 0, "header_metadata"),
        (Bytes::start(3, 0, 2).text("k").u32(0).raw(&[0]).text("k").u32(0).raw(&[0]), 0, "duplicate_name"),
        (Bytes::start(3, 2, 0).tensor("a", &[8], F32, 0).tensor("a", &[8], F32, 32), 64, "duplicate_name"),
        (Bytes::start(3, 1, 0).tensor("", &[8], F32, 0), 32, "tensor_name"),
        (Bytes::start(3, 1, 0).tensor("a\u{202e}b", &[8], F32, 0), 32, "tensor_name"),
        (Bytes::start(3, 1, 0).u64(1).raw(&[0xff]).u32(0).u32(F32).u64(0), 32, "tensor_name"),
        (one(&[1, 1, 1, 1, 1], F32), 32, "too_many_dimensions"),
        (one(&[32], 4), 32, "removed_dtype"),
        (one(&[32], 42), 32, "unknown_dtype"),
        (one(&[32], Q4_K), 32, "tensor_shape"),
        (one(&[1 << 32, 1 << 32], F32), 32, "tensor_shape"),
        (two(64), 96, "tensor_hole"),
        (two(16), 48, "tensor_overlap"),
        (Bytes::start(3, 2, 0).tensor("a", &[1], F32, 0).tensor("b", &[1], F32, 4), 32, "tensor_misaligned"),
        (Bytes::start(3, 1, 0).tensor("a", &[8], F32, u64::MAX - 8), 32, "tensor_past_end"),
    ];
    for (number, (bytes, data_size_bytes, expected)) in cases.into_iter().enumerate() {
        assert_eq!(bytes.code(data_size_bytes), expected, "case {number}");
    }
}

#[test]
fn the_first_faults_of_old_and_foreign_files_say_what_to_do() {
    let words = |bytes: Bytes| bytes.parse_with(32, 0).unwrap_err().to_string();
    assert!(words(Bytes::start(1, 0, 0)).contains("convert the model again"));
    assert!(words(Bytes::start(3_u32.swap_bytes(), 0, 0)).contains("little-endian"));
    let removed = Bytes::start(3, 1, 0).tensor("a", &[32], 5, 0);
    assert!(removed.parse_with(32, 32).unwrap_err().to_string().contains("Q4_3"));
}

#[test]
fn more_bytes_are_asked_for_until_the_header_is_whole_and_a_cut_file_is_refused() {
    let whole = honest();
    let header_size_bytes = whole.0.len().next_multiple_of(32);
    let mut bytes = whole.0;
    bytes.resize(header_size_bytes + 320, 0);
    let size_bytes = u64::try_from(bytes.len()).unwrap();
    for length in 0..=bytes.len() {
        let header = parse_header(&bytes[..length], size_bytes).unwrap();
        assert_eq!(header.is_some(), length >= header_size_bytes, "{length}");
        if length < bytes.len() {
            assert!(parse_header(&bytes[..length], u64::try_from(length).unwrap()).is_err(), "{length}");
        }
    }
}

#[test]
fn sums_and_products_are_checked_before_they_are_used() {
    let one = |shape: &[u64], kind, offset| Bytes::start(3, 1, 0).tensor("a", shape, kind, offset).code(32);
    for (shape, kind, offset, expected) in [
        (&[8][..], F32, 0, "accepted"),
        (&[8, 1, 1, 1], F32, 0, "accepted"),
        (&[0], F32, 0, "trailing_bytes"),
        (&[], F32, 0, "accepted"),
        (&[u64::MAX], F32, 0, "tensor_shape"),
        (&[1 << 53, 1 << 53, 1 << 53, 1 << 53], I8, 0, "tensor_shape"),
        (&[0, u64::MAX], I8, 0, "tensor_shape"),
        (&[1 << 62], I8, 0, "tensor_shape"),
        (&[1 << 53], I8, 0, "tensor_shape"),
        (&[(1 << 53) - 1], I8, 0, "tensor_past_end"),
        (&[8], F32, u64::MAX, "tensor_past_end"),
        (&[8], F32, u64::MAX - 31, "tensor_past_end"),
        (&[8], F32, 1 << 63, "tensor_past_end"),
        (&[8], F32, 1, "tensor_past_end"),
        (&[255], Q4_K, 0, "tensor_shape"),
        (&[128, 2], Q4_K, 0, "tensor_shape"),
    ] {
        assert_eq!(one(shape, kind, offset), expected, "{shape:?} {kind} {offset}");
    }
}

#[test]
fn what_is_declared_is_refused_before_anything_is_waited_for() {
    let bytes = Bytes::start(3, 0, 1).u64(HEADER_SIZE_BYTES_MAX).0;
    assert_eq!(parse_header(&bytes, u64::MAX), Err(HeaderError::TooLong));
    let bytes = Bytes::start(3, 0, 1).text("k").u32(ARRAY).u32(ARRAY).u64(u64::MAX).0;
    assert_eq!(parse_header(&bytes, u64::MAX), Ok(None), "one element after the other, up to the limit");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        version in 0u32..4,
        tensors in 0u64..4,
        entries in 0u64..4,
        rest in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300),
    ) {
        let bytes = Bytes::start(version, tensors, entries).raw(&rest).0;
        let _ = parse_header(&bytes, u64::try_from(bytes.len()).unwrap());
        let _ = parse_header(&bytes, u64::MAX);
    }

    #[test]
    fn one_changed_byte_is_refused_or_still_covers_the_file(at: proptest::sample::Index, flip in 1u8..) {
        let mut bytes = honest().0;
        bytes.resize(bytes.len().next_multiple_of(32) + 320, 0);
        let header_size = honest().0.len();
        bytes[at.index(header_size)] ^= flip;
        let size_bytes = u64::try_from(bytes.len()).unwrap();
        if let Ok(Some(header)) = parse_header(&bytes, size_bytes) {
            let alignment = header.alignment_bytes.unwrap();
            let mut covered = header.size_bytes;
            for tensor in &header.tensors {
                prop_assert_eq!(tensor.begin, covered.next_multiple_of(alignment));
                covered = tensor.end;
            }
            prop_assert!(covered <= size_bytes && size_bytes <= covered.next_multiple_of(alignment));
        }
    }
}
