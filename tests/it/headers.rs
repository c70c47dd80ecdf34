//! Arbitrary bytes into both header parsers: neither panics, and what is accepted covers its file exactly once, as
//! found by a slow and obvious count. For safetensors a second parser, that of the Python package, has its say.
//!
//! Inputs follow from fixed seeds and know the structure they damage. `CHOPMARK_SOAK=1` makes a million of them.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use chopmark_core::manifest::header::Header;
use chopmark_core::manifest::{Dtype, TENSORS_MAX, check_tensor_name, gguf, safetensors};

use crate::harness::{can_test, soaked};
use crate::make::Random;

/// Inputs for each parser.
fn cases() -> usize {
    soaked(50_000, 1_000_000)
}

/// Longest input in bytes: that of the seeds, and what mutations may add.
const INPUT_SIZE_BYTES_MAX: usize = 64 << 10;

/// Numbers at the edges of what counts, sizes and offsets may be.
const NUMBERS: [u64; 18] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    31,
    32,
    33,
    255,
    65_536,
    (1 << 32) - 1,
    1 << 32,
    1 << 53,
    (1 << 63) - 1,
    u64::MAX - 7,
    u64::MAX,
];

fn number(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.next(),
        1 => random.next() % 64,
        _ => NUMBERS[random.below(NUMBERS.len())],
    }
}

/// A safetensors header as JSON, mostly right, with as many wrong values as the dice say.
fn json(random: &mut Random, data_size_bytes: &mut u64) -> String {
    const DTYPES: [(&str, u64); 8] =
        [("U8", 8), ("F32", 32), ("BF16", 16), ("I64", 64), ("BOOL", 8), ("F4", 4), ("C64", 64), ("F8_E4M3", 8)];
    let is_wrong = |random: &mut Random| random.below(40) == 0;
    let mut members = Vec::new();
    let mut at = 0_u64;
    for index in 0..random.below(6) {
        let (dtype, bits) = DTYPES[random.below(DTYPES.len())];
        let mut shape: Vec<u64> = (0..random.below(4)).map(|_| random.next() % 5).collect();
        let size = shape.iter().product::<u64>().saturating_mul(bits).div_ceil(8);
        if is_wrong(random) {
            // A hole, or an overlap.
            at = if random.below(2) == 0 { at + 1 } else { at.saturating_sub(1) };
        }
        let (mut begin, mut end) = (at, at + size);
        at = end;
        if is_wrong(random) {
            begin = number(random);
        }
        if is_wrong(random) {
            end = number(random);
        }
        if is_wrong(random) {
            shape.push(number(random));
        }
        let dtype = if is_wrong(random) { ["F16", "Q4_0", "u8", "", "F32 "][random.below(5)] } else { dtype };
        let name = match random.below(48) {
            0 => "t0".to_owned(),
            1 => r"\u0074\u0030".to_owned(),
            2 => "__metadata__".to_owned(),
            3 => r"a\u202eb".to_owned(),
            _ => format!("t{index}"),
        };
        let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
        let more = if is_wrong(random) { [r#","x":1"#, r#","dtype":"U8""#][random.below(2)] } else { "" };
        let tensor = format!(
            r#""{name}":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{begin},{end}]{more}}}"#,
            shape.join(",")
        );
        members.push(tensor);
    }
    match random.below(16) {
        0 => members.push(r#""__metadata__":{"a":"1","a":"2"}"#.to_owned()),
        1 => members.push(r#""__metadata__":{"a":1}"#.to_owned()),
        2..7 => members.push(r#""__metadata__":{"format":"pt"}"#.to_owned()),
        _ => {}
    }
    if members.len() > 1 && random.below(3) == 0 {
        let (from, to) = (random.below(members.len()), random.below(members.len()));
        members.swap(from, to);
    }
    *data_size_bytes = if is_wrong(random) { number(random) % 4096 } else { at };
    let end = match random.below(24) {
        0 => "}\n",
        1 => "} x",
        2 => "",
        3..8 => "}    ",
        _ => "}",
    };
    format!("{{{}{end}", members.join(","))
}

/// A safetensors file, whole or with its length field lying.
fn safetensors_file(random: &mut Random) -> Vec<u8> {
    let mut data_size_bytes = 0;
    let json = json(random, &mut data_size_bytes);
    let length = u64::try_from(json.len()).unwrap();
    let length = match random.below(30) {
        0 => number(random),
        1 => length.saturating_sub(1),
        2 => length + 1,
        _ => length,
    };
    let mut file = [length.to_le_bytes().as_slice(), json.as_bytes()].concat();
    file.resize(file.len() + usize::try_from(data_size_bytes).unwrap(), 0);
    file
}

/// A GGUF file, field by field, with as many wrong values as the dice say.
fn gguf_file(random: &mut Random) -> Vec<u8> {
    const TYPES: [(u32, u64, u64); 6] = [(0, 1, 4), (1, 1, 2), (2, 32, 18), (8, 32, 34), (12, 256, 144), (24, 1, 1)];
    let is_wrong = |random: &mut Random| random.below(40) == 0;
    let mut file = if is_wrong(random) { b"GGUX".to_vec() } else { b"GGUF".to_vec() };
    let version = if is_wrong(random) { u32::try_from(number(random) & 0xFFFF_FFFF).unwrap() } else { 3 };
    file.extend(version.to_le_bytes());
    let (tensors, entries) = (random.below(5), random.below(5));
    for count in [tensors, entries] {
        let count = if is_wrong(random) { number(random) } else { u64::try_from(count).unwrap() };
        file.extend(count.to_le_bytes());
    }
    let text = |file: &mut Vec<u8>, random: &mut Random, text: &str| {
        let length = if random.below(60) == 0 { number(random) } else { u64::try_from(text.len()).unwrap() };
        file.extend(length.to_le_bytes());
        file.extend(text.as_bytes());
    };
    let mut alignment = 32_u64;
    for index in 0..entries {
        if random.below(4) == 0 {
            alignment = [8, 16, 32, 64, 24, 0][random.below(6)];
            text(&mut file, random, "general.alignment");
            file.extend(4_u32.to_le_bytes());
            file.extend(u32::try_from(alignment).unwrap().to_le_bytes());
            continue;
        }
        let key = format!("key.{}", if is_wrong(random) { 0 } else { index });
        text(&mut file, random, &key);
        let kind = u32::try_from(random.below(14)).unwrap();
        file.extend(kind.to_le_bytes());
        match kind {
            0 | 1 | 7 => file.push(u8::try_from(random.below(3)).unwrap()),
            2 | 3 => file.extend([1, 2]),
            4..=6 => file.extend([1, 2, 3, 4]),
            8 => text(&mut file, random, "value"),
            9 => {
                file.extend(u32::try_from(random.below(13)).unwrap().to_le_bytes());
                let count = if is_wrong(random) { number(random) } else { u64::try_from(random.below(4)).unwrap() };
                file.extend(count.to_le_bytes());
                file.extend((0..random.below(40)).map(|_| 1));
            }
            _ => file.extend([0; 8]),
        }
    }
    let step = alignment.max(1);
    let mut at = 0_u64;
    for index in 0..tensors {
        let (kind, block, size) = TYPES[random.below(TYPES.len())];
        let blocks = random.next() % 4;
        let name = if is_wrong(random) { "t0".to_owned() } else { format!("t{index}") };
        text(&mut file, random, &name);
        let shape = [blocks * block, 1 + random.next() % 2];
        let dimensions = if is_wrong(random) { 5 } else { 2_u32 };
        file.extend(dimensions.to_le_bytes());
        for dimension in shape {
            let dimension = if is_wrong(random) { number(random) } else { dimension };
            file.extend(dimension.to_le_bytes());
        }
        let kind = if is_wrong(random) { u32::try_from(random.below(64)).unwrap() } else { kind };
        file.extend(kind.to_le_bytes());
        let offset = if is_wrong(random) { number(random) } else { at };
        file.extend(offset.to_le_bytes());
        at = (at + blocks * size * shape[1]).next_multiple_of(step);
    }
    let begin = file.len().next_multiple_of(usize::try_from(step).unwrap());
    let filler = u8::from(random.below(40) == 0);
    file.resize(begin, filler);
    let data_size_bytes = if is_wrong(random) { number(random) % 4096 } else { at };
    file.resize(file.len() + usize::try_from(data_size_bytes).unwrap(), 0);
    file
}

/// A file that damage of no particular sort has been done to as well, now and then.
fn damaged(random: &mut Random, mut file: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.below(3) {
        if !file.is_empty() {
            file = random.damage(&file).1;
        }
    }
    file.truncate(INPUT_SIZE_BYTES_MAX);
    file
}

/// Counts what an accepted header says, byte by byte: each byte after the header belongs to one tensor, or is padding.
fn check(header: &Header, file: &[u8]) {
    let size_bytes = u64::try_from(file.len()).unwrap();
    assert!(header.size_bytes <= size_bytes && header.tensors.len() <= TENSORS_MAX);
    let mut owners = vec![0_u8; file.len()];
    let mut names = HashSet::new();
    for tensor in &header.tensors {
        assert!(names.insert(&tensor.name), "{} stands twice", tensor.name);
        assert_eq!(check_tensor_name(&tensor.name), Ok(()));
        assert!(
            header.size_bytes <= tensor.begin && tensor.begin <= tensor.end && tensor.end <= size_bytes,
            "{tensor:?}"
        );
        // In numbers that can't overflow.
        let elements = tensor.shape.iter().fold(1_u128, |elements, dimension| elements * u128::from(*dimension));
        let (block, bits) = (u128::from(tensor.dtype.block_elements()), u128::from(tensor.dtype.block_bits()));
        assert_eq!(elements % block, 0, "{tensor:?}");
        assert_eq!(elements / block * bits, u128::from(tensor.end - tensor.begin) * 8, "{tensor:?}");
        let range = usize::try_from(tensor.begin).unwrap()..usize::try_from(tensor.end).unwrap();
        owners[range].iter_mut().for_each(|owner| *owner += 1);
    }
    let alignment = usize::try_from(header.alignment_bytes.unwrap_or(1)).unwrap();
    let mut padding = 0;
    for owner in &owners[usize::try_from(header.size_bytes).unwrap()..] {
        assert!(*owner <= 1, "a byte belongs to {owner} tensors");
        padding = if *owner == 0 { padding + 1 } else { 0 };
        assert!(padding < alignment, "a byte belongs to nothing");
    }
}

/// Parses a whole file, checks what is accepted, and says whether it was, or under which code it was refused.
fn parse_safetensors(file: &[u8]) -> Result<(), &'static str> {
    let size_bytes = u64::try_from(file.len()).unwrap();
    let header = safetensors::parse_header(file, size_bytes).map_err(|fault| fault.code())?;
    check(&header, file);
    // The header alone is enough, and never asks for more.
    let length = usize::try_from(header.size_bytes).unwrap();
    assert_eq!(safetensors::parse_header(&file[..length], size_bytes), Ok(header));
    Ok(())
}

fn parse_gguf(file: &[u8]) -> Result<(), &'static str> {
    let size_bytes = u64::try_from(file.len()).unwrap();
    let header = gguf::parse_header(file, size_bytes).map_err(|fault| fault.code())?;
    let header = header.expect("the whole file is there, and more is asked for");
    check(&header, file);
    // In pieces it says the same, or asks for more.
    let length = usize::try_from(header.size_bytes).unwrap();
    for cut in [length / 2, length] {
        let piece = gguf::parse_header(&file[..cut], size_bytes).unwrap();
        assert!(piece.is_none() || piece.as_ref() == Some(&header), "cut at {cut}");
    }
    Ok(())
}

fn soak(
    name: &str,
    seed: u64,
    make: fn(&mut Random) -> Vec<u8>,
    parse: fn(&[u8]) -> Result<(), &'static str>,
    expected: &[&str],
) {
    let mut random = Random::new(seed);
    let (mut accepted, mut codes) = (0, HashSet::new());
    for case in 0..cases() {
        let file = match random.below(10) {
            // No structure at all.
            0 => (0..random.below(200)).map(|_| u8::try_from(random.below(256)).unwrap()).collect(),
            1..5 => {
                let file = make(&mut random);
                damaged(&mut random, file)
            }
            _ => make(&mut random),
        };
        match catch_unwind(AssertUnwindSafe(|| parse(&file))) {
            Ok(Ok(())) => accepted += 1,
            Ok(Err(code)) => {
                codes.insert(code);
            }
            Err(panicked) => {
                println!("{name}, case {case} of seed {seed}: {file:?}");
                std::panic::resume_unwind(panicked);
            }
        }
    }
    println!("{name}: {} inputs, {accepted} accepted, refused for {} reasons", cases(), codes.len());
    assert!(
        accepted > cases() / 20,
        "{name}: only {accepted} were well formed, the rest of the parser was not reached"
    );
    for code in expected {
        assert!(codes.contains(code), "{name}: no input was refused as {code}");
    }
}

#[test]
fn arbitrary_safetensors_headers_are_refused_or_cover_their_file() {
    let expected = [
        "header_truncated",
        "header_too_large",
        "header_past_end",
        "header_not_object",
        "header_json",
        "duplicate_name",
        "tensor_name",
        "unknown_dtype",
        "tensor_shape",
        "tensor_size",
        "offsets_reversed",
        "tensor_hole",
        "tensor_overlap",
        "tensor_past_end",
        "trailing_bytes",
    ];
    soak("safetensors", 0x5AFE, safetensors_file, parse_safetensors, &expected);
}

#[test]
fn arbitrary_gguf_headers_are_refused_or_cover_their_file() {
    let expected = [
        "header_magic",
        "header_version",
        "header_metadata",
        "header_alignment",
        "header_past_end",
        "header_too_large",
        "duplicate_name",
        "too_many_tensors",
        "too_many_dimensions",
        "unknown_dtype",
        "removed_dtype",
        "tensor_shape",
        "tensor_overlap",
        "tensor_past_end",
        "tensor_misaligned",
        "trailing_bytes",
        "padding_not_zero",
    ];
    soak("GGUF", 0x6606, gguf_file, parse_gguf, &expected);
}

/// Reads files, each after its length, and says of each whether the package's own parser takes it.
const ORACLE: &str = r#"
import struct, sys
from safetensors import deserialize
stream = sys.stdin.buffer
while True:
    length = stream.read(4)
    if not length:
        break
    file = stream.read(struct.unpack("<I", length)[0])
    try:
        deserialize(file)
        sys.stdout.write("accepted\n")
    except BaseException as fault:
        sys.stdout.write("refused " + " ".join(str(fault).split()) + "\n")
"#;

/// The directory of the package; it has to be where `CHOPMARK_TEST_SAFETENSORS` says.
fn oracle() -> Option<PathBuf> {
    let named = std::env::var_os("CHOPMARK_TEST_SAFETENSORS").filter(|name| !name.is_empty()).map(PathBuf::from);
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/safetensors-0.8.0");
    let is_required = named.is_some();
    let directory = named.unwrap_or(fetched);
    let is_there = directory.join("safetensors").is_dir();
    can_test("safetensors headers beside the package's own parser", is_required, is_there).then_some(directory)
}

#[test]
fn whatever_the_python_package_refuses_we_refuse() {
    let Some(directory) = oracle() else { return };
    let number = soaked(5_000, 100_000);
    let mut random = Random::new(0xD1FF);
    let files: Vec<Vec<u8>> = (0..number)
        .map(|round| {
            let file = safetensors_file(&mut random);
            if round % 4 == 0 { damaged(&mut random, file) } else { file }
        })
        .collect();
    let mut child = Command::new("python3")
        .args(["-c", ORACLE])
        .env("PYTHONPATH", &directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to ask the safetensors package");
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let verdicts: Vec<String> = thread::scope(|scope| {
        scope.spawn(|| {
            for file in &files {
                stdin.write_all(&u32::try_from(file.len()).unwrap().to_le_bytes()).unwrap();
                stdin.write_all(file).unwrap();
            }
            drop(stdin);
        });
        stdout.lines().map(Result::unwrap).collect()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(verdicts.len(), files.len());
    let (mut both, mut neither, mut stricter) = (0, 0, HashSet::new());
    for (file, theirs) in files.iter().zip(&verdicts) {
        match (parse_safetensors(file), theirs.as_str()) {
            (Ok(()), "accepted") => both += 1,
            (Ok(()), theirs) => panic!("we accept what the package does not ({theirs}): {file:?}"),
            (Err(code), "accepted") => {
                stricter.insert(code);
            }
            (Err(_), _) => neither += 1,
        }
    }
    println!("{number} files: both accept {both}, both refuse {neither}; we alone refuse for {stricter:?}");
    assert!(both > number / 10 && neither > number / 10);
    // Every rule of ours beyond the package's is one we know of.
    let known =
        ["duplicate_name", "tensor_name", "header_json", "tensor_shape", "header_not_object", "too_many_dimensions"];
    assert!(stricter.iter().all(|code| known.contains(code)), "{stricter:?}");
}

#[test]
fn every_element_type_has_the_size_that_its_name_says() {
    for dtype in Dtype::ALL.iter().filter(|dtype| dtype.block_elements() == 1) {
        let digits: String =
            dtype.name().chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        let bits = if dtype.name() == "BOOL" { 8 } else { digits.parse::<u64>().unwrap() };
        assert_eq!(dtype.block_bits(), bits, "{}", dtype.name());
        let json =
            |size: u64| format!(r#"{{"t":{{"dtype":"{}","shape":[8],"data_offsets":[0,{size}]}}}}"#, dtype.name());
        for (size, is_right) in [(bits, true), (bits - 1, false), (bits + 1, false)] {
            let json = json(size);
            let mut file = [u64::try_from(json.len()).unwrap().to_le_bytes().as_slice(), json.as_bytes()].concat();
            file.resize(file.len() + usize::try_from(size).unwrap(), 0);
            assert_eq!(
                parse_safetensors(&file),
                if is_right { Ok(()) } else { Err("tensor_size") },
                "{}",
                dtype.name()
            );
        }
    }
}
