//! Hostile and honest headers.

use proptest::prelude::*;

use super::*;

/// A whole file: length field, `json`, then `data_size_bytes` of tensor data (only its length matters here).
fn parse(json: &str, data_size_bytes: u64) -> Result<Header, HeaderError> {
    let mut bytes = u64::try_from(json.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    let file_size_bytes = u64::try_from(bytes.len()).unwrap() + data_size_bytes;
    parse_header(&bytes, file_size_bytes)
}

fn code(json: &str, data_size_bytes: u64) -> &'static str {
    parse(json, data_size_bytes).map_or_else(|fault| fault.code(), |_| "accepted")
}

#[test]
fn an_honest_header_is_placed_in_file_order() {
    let json = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]},"empty":{"dtype":"F16","shape":[0,9],"data_offsets":[4,4]}}   "#;
    let header = parse(json, 12).unwrap();
    let start = 8 + u64::try_from(json.len()).unwrap();
    assert_eq!(header.size_bytes, start);
    let placed: Vec<_> = header.tensors.iter().map(|tensor| (&*tensor.name, tensor.begin, tensor.end)).collect();
    assert_eq!(placed, [("a", start, start + 4), ("empty", start + 4, start + 4), ("b", start + 4, start + 12)]);
}

#[test]
fn a_header_without_tensors_needs_a_file_without_data() {
    assert_eq!(code("{}", 0), "accepted");
    assert_eq!(code("{}", 1), "trailing_bytes");
}

#[test]
fn sub_byte_types_are_measured_in_bits() {
    assert_eq!(code(r#"{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#, 3), "accepted");
    assert_eq!(code(r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, 2), "tensor_shape");
    assert_eq!(code(r#"{"a":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,3]}}"#, 3), "accepted");
}

#[test]
fn each_hostile_header_gets_its_own_name() {
    let cases: [(&str, u64, &str); 31] = [
        ("", 0, "header_not_object"),
        (" {}", 0, "header_not_object"),
        ("[]", 0, "header_not_object"),
        ("{}\n", 0, "header_not_object"),
        ("{}\u{0}", 0, "header_not_object"),
        ("{", 0, "header_not_object"),
        ("{}{}", 0, "header_json"),
        (r#"{"a":1}"#, 0, "header_json"),
        (r#"{"a":null}"#, 0, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":0}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[1]}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, 1, "header_json"),
        (r#"{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}}"#, 1, "header_json"),
        (r#"{"__metadata__":{"k":1}}"#, 0, "header_json"),
        (r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0, "duplicate_name"),
        (r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "duplicate_name"),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
            2,
            "duplicate_name",
        ),
        (r#"{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "tensor_name"),
        (r#"{"a\u202eb":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "tensor_name"),
        (r#"{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,1]}}"#, 1, "unknown_dtype"),
        (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,1]}}"#, 1, "tensor_shape"),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}}"#, 3, "tensor_size"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, 1, "offsets_reversed"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, "tensor_hole"),
        (
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            3,
            "tensor_overlap",
        ),
        (r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 1, "tensor_past_end"),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}}"#,
            1,
            "tensor_past_end",
        ),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 2, "trailing_bytes"),
    ];
    for (json, data_size_bytes, expected) in cases {
        assert_eq!(code(json, data_size_bytes), expected, "{json}");
    }
}

#[test]
fn declared_lengths_are_refused_before_anything_is_allocated() {
    assert_eq!(parse_header(b"1234567", 7), Err(HeaderError::Truncated { size_bytes: 7 }));
    assert_eq!(parse_header(&u64::MAX.to_le_bytes(), 1 << 40), Err(HeaderError::TooLarge { declared_bytes: u64::MAX }));
    let over = JSON_SIZE_BYTES_MAX + 1;
    assert_eq!(header_size_bytes(over.to_le_bytes(), u64::MAX), Err(HeaderError::TooLarge { declared_bytes: over }));
    assert_eq!(header_size_bytes(9u64.to_le_bytes(), 16).map_err(|fault| fault.code()), Err("header_past_end"));
    assert_eq!(header_size_bytes(8u64.to_le_bytes(), 16), Ok(16));
}

#[test]
fn bytes_that_are_not_utf8_say_where() {
    let mut bytes = 4u64.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"{\xff }");
    assert_eq!(parse_header(&bytes, 12), Err(HeaderError::NotUtf8 { at: 1 }));
}

#[test]
fn depth_and_size_bombs_are_refused() {
    assert_eq!(code(&format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)), 0), "header_json");
    assert_eq!(code(&format!("{{\"a\":{}}}", "[".repeat(100_000)), 0), "header_json");
    let shape = vec!["1"; DIMENSIONS_MAX + 1].join(",");
    let json = format!(r#"{{"a":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,1]}}}}"#);
    assert_eq!(code(&json, 1), "too_many_dimensions");
    let wide = r#"{"a":{"dtype":"U8","shape":[0,9007199254740992],"data_offsets":[0,0]}}"#;
    assert_eq!(code(wide, 0), "tensor_shape");
    let tensors: Vec<String> =
        (0..=TENSORS_MAX).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    assert_eq!(code(&format!("{{{}}}", tensors.join(",")), 0), "too_many_tensors");
}

#[test]
fn numbers_and_names_have_one_spelling() {
    let tensor =
        |shape: &str, offsets: &str| format!(r#"{{"a":{{"dtype":"U8","shape":{shape},"data_offsets":{offsets}}}}}"#);
    assert_eq!(code(&tensor("[1]", "[0,1]"), 1), "accepted");
    let numbers =
        ["[01]", "[+1]", "[1e0]", "[0x1]", "[\"1\"]", "[null]", "[[1]]", "[1,]", "[-0.0]", "{}", "1", "null", "\"1\""];
    for shape in numbers {
        assert_eq!(code(&tensor(shape, "[0,1]"), 1), "header_json", "{shape}");
    }
    for offsets in
        ["[0]", "[]", "[0,1,1]", "{\"0\":0,\"1\":1}", "[0.0,1]", "[0,1e0]", "null", "[0,18446744073709551616]"]
    {
        assert_eq!(code(&tensor("[1]", offsets), 1), "header_json", "{offsets}");
    }
    for (json, expected) in [
        ("\u{feff}{}", "header_not_object"),
        ("{}\t", "header_not_object"),
        ("{/**/}", "header_json"),
        ("{'a':1}", "header_json"),
        (r#"{"__metadata__":null}"#, "header_json"),
        (r#"{"__metadata__":[]}"#, "header_json"),
        (r#"{"__metadata__":{"a":{"b":"c"}}}"#, "header_json"),
        (r#"{"a\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, "header_json"),
        (r#"{"a\u0000":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, "tensor_name"),
    ] {
        assert_eq!(code(json, u64::from(json.contains("dtype"))), expected, "{json}");
    }
}

#[test]
fn the_longest_header_is_read_and_one_byte_more_is_not() {
    let cap = usize::try_from(JSON_SIZE_BYTES_MAX).unwrap();
    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    assert_eq!(code(&padded(cap), 0), "accepted");
    assert_eq!(code(&padded(cap + 1), 0), "header_too_large");
}

#[test]
fn empty_tensors_share_a_place_and_never_lie_within_another() {
    let file = |empty_at: u64| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"e":{{"dtype":"U8","shape":[0],"data_offsets":[{empty_at},{empty_at}]}},"f":{{"dtype":"U8","shape":[2,0],"data_offsets":[{empty_at},{empty_at}]}}}}"#
        )
    };
    for (empty_at, expected) in [
        (0, "accepted"),
        (1, "tensor_overlap"),
        (3, "tensor_overlap"),
        (4, "accepted"),
        (5, "tensor_past_end"),
        (u64::MAX, "tensor_past_end"),
    ] {
        assert_eq!(code(&file(empty_at), 4), expected, "{empty_at}");
    }
}

#[test]
fn messages_cannot_carry_terminal_escapes() {
    let fault = parse("{\"a\":{\"dtype\":\"\\u001b[31m\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1).unwrap_err();
    assert!(!fault.to_string().contains('\u{1b}'), "{fault}");
    let fault =
        parse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"\\u001b[31m\":1}}", 1).unwrap_err();
    assert!(!fault.to_string().contains('\u{1b}'), "{fault}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), size_bytes: u64) {
        let _ = parse_header(&bytes, size_bytes);
    }

    #[test]
    fn an_accepted_header_tiles_its_file(text in r#"[{}\[\]":,a-c0-3 ]{0,60}"#, data_size_bytes in 0u64..8) {
        if let Ok(header) = parse(&text, data_size_bytes) {
            let covered: u64 = header.tensors.iter().map(|tensor| tensor.end - tensor.begin).sum();
            prop_assert_eq!(covered, data_size_bytes);
        }
    }

    #[test]
    fn offsets_are_accepted_exactly_where_they_tile(
        sizes in proptest::collection::vec(0u64..4, 1..6),
        moved: proptest::sample::Index,
        begin_change in -2i64..3,
        end_change in -2i64..3,
    ) {
        let mut at = 0;
        let mut places: Vec<(u64, u64)> = Vec::new();
        for size_bytes in &sizes {
            places.push((at, at + size_bytes));
            at += size_bytes;
        }
        let place = moved.get(&places).to_owned();
        let index = moved.index(places.len());
        places[index] = (place.0.saturating_add_signed(begin_change), place.1.saturating_add_signed(end_change));

        let members: Vec<String> = places.iter().enumerate().map(|(index, (begin, end))| {
            let length = end.saturating_sub(*begin);
            format!(r#""{index}":{{"dtype":"U8","shape":[{length}],"data_offsets":[{begin},{end}]}}"#)
        }).collect();
        // Slow and obvious: every byte belongs to one tensor, none ends outside, no empty one lies inside another.
        let tiles = (0..at).all(|byte| places.iter().filter(|(begin, end)| (*begin..*end).contains(&byte)).count() == 1)
            && places.iter().all(|(begin, end)| begin <= end && *end <= at)
            && places.iter().all(|(begin, end)| {
                begin != end || places.iter().all(|other| begin <= &other.0 || begin >= &other.1)
            });
        let result = parse(&format!("{{{}}}", members.join(",")), at);
        prop_assert_eq!(result.is_ok(), tiles, "{:?} {:?}", places, result);
    }
}
