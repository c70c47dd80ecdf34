use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ledger::fixtures::MemoryTree;
use crate::ledger::tree::verify_inclusion;

fn coordinate(level: u8, n: u64, width: u16) -> TileCoordinate {
    TileCoordinate::new(level, n, width).unwrap()
}

#[test]
fn paths_have_the_published_spelling() {
    let written = [
        (TilePath::Hashes(coordinate(0, 1_234_067, 256)), "/tile/0/x001/x234/067"),
        (TilePath::Hashes(coordinate(0, 0, 256)), "/tile/0/000"),
        (TilePath::Hashes(coordinate(1, 999, 1)), "/tile/1/999.p/1"),
        (TilePath::Hashes(coordinate(63, 1_000, 255)), "/tile/63/x001/000.p/255"),
        (TilePath::Entries(BundleCoordinate::new(273, 112).unwrap()), "/tile/entries/273.p/112"),
        (TilePath::Entries(BundleCoordinate::new(1_000_000, 256).unwrap()), "/tile/entries/x001/x000/000"),
        (TilePath::Hashes(coordinate(0, TILE_COUNT_MAX - 1, 255)), "/tile/0/x018/x014/x398/x509/x481/983.p/255"),
    ];
    for (path, text) in written {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
}

#[test]
fn any_other_spelling_is_refused() {
    for text in [
        "",
        "/",
        "/tile",
        "/tile/",
        "/tile/0",
        "/tile/0/",
        "tile/0/000",
        "//tile/0/000",
        "/tile//000",
        "/tile/0/000/",
        "/tile/0/000 ",
        " /tile/0/000",
        "/tile/00/000",
        "/tile/01/000",
        "/tile/+1/000",
        "/tile/-1/000",
        "/tile/64/000",
        "/tile/256/000",
        "/tile/x/000",
        "/tile/ /000",
        "/tile/0/0",
        "/tile/0/00",
        "/tile/0/0000",
        "/tile/0/x000",
        "/tile/0/x000/001",
        "/tile/0/x001/x002",
        "/tile/0/001/002",
        "/tile/0/x01/002",
        "/tile/0/x001/02",
        "/tile/0/X001/002",
        "/tile/0/x001//002",
        "/tile/0/x001x002",
        "/tile/0/x1/x234/067",
        "/tile/0/+01",
        "/tile/0/-01",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/000.p/257",
        "/tile/0/000.p/01",
        "/tile/0/000.p/+1",
        "/tile/0/000.p/",
        "/tile/0/000.p",
        "/tile/0/000.p/1/",
        "/tile/0/000.p/1.p/1",
        "/tile/0/000.P/1",
        "/tile/0/000.p/65536",
        "/tile/0/.p/1",
        "/tile/0/00x",
        "/tile/0/0x0",
        "/tile/entries",
        "/tile/entries/",
        "/tile/entries/0",
        "/tile/Entries/000",
        "/tile/entries/0/000",
        "/tile/data/000",
        "/tile/entries/000.p/0",
        "/tile/0/x018/x014/x398/x509/x481/984",
        "/tile/0/x018/x446/x744/x073/x709/x551/616",
        "/tile/0/000?a=1",
        "/tile/0/%30%30%30",
        "/tile/0/../000",
        "/tile/0/٠٠٠",
        "/tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(text.parse::<TilePath>(), Err(TileError::Path), "{text:?}");
    }
}

#[test]
fn coordinates_outside_any_log_do_not_exist() {
    for (level, n, width) in [(64, 0, 1), (0, 0, 0), (0, 0, 257), (0, TILE_COUNT_MAX, 1), (0, u64::MAX, 256)] {
        assert_eq!(TileCoordinate::new(level, n, width), Err(TileError::Coordinate { level, n, width }));
    }
}

/// The two sizes worked out in the tlog-tiles specification, and the corners around them.
#[test]
fn widths_are_those_of_the_specification() {
    let partials = |size| (0..=8).map(|level| partial_width(level, size)).collect::<Vec<_>>();
    let full = |size| (0..=8).map(|level| full_tiles(level, size)).collect::<Vec<_>>();
    assert_eq!(full(70_000), [273, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(partials(70_000), [112, 17, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(full(256), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(partials(256), [0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(partials(u64::MAX), [255, 255, 255, 255, 255, 255, 255, 255, 0]);
    assert_eq!(tiles_for(0).count(), 0);
    assert_eq!(tiles_for(256).collect::<Vec<_>>(), [coordinate(0, 0, 256), coordinate(1, 0, 1)]);
    let all: Vec<_> = tiles_for(70_000).collect();
    assert_eq!(all.len(), 273 + 1 + 1 + 1 + 1);
    assert_eq!(
        all[272..],
        [
            coordinate(0, 272, 256),
            coordinate(0, 273, 112),
            coordinate(1, 0, 256),
            coordinate(1, 1, 17),
            coordinate(2, 0, 1),
        ]
    );
    for tile in all {
        assert!(tile.is_covered_by(70_000));
    }
}

#[test]
fn a_tile_is_covered_once_all_its_hashes_exist() {
    assert!(coordinate(0, 273, 111).is_covered_by(70_000));
    assert!(!coordinate(0, 273, 113).is_covered_by(70_000));
    assert!(!coordinate(0, 273, 256).is_covered_by(70_000));
    assert!(coordinate(1, 0, 256).is_covered_by(65_536));
    assert!(!coordinate(1, 0, 256).is_covered_by(65_535));
    assert!(!coordinate(8, 0, 1).is_covered_by(u64::MAX));
    assert!(!coordinate(63, 0, 1).is_covered_by(u64::MAX));
    assert_eq!(BundleCoordinate::new(2, 3).unwrap().indices(), 512..515);
    assert_eq!(BundleCoordinate::new(2, 3).unwrap().leaf_tile(), coordinate(0, 2, 3));
}

#[test]
fn nodes_are_found_in_their_tiles() {
    let holding = |level, index, size| TileCoordinate::holding(Node { level, index }, size);
    assert_eq!(holding(0, 300, 70_000), Ok((coordinate(0, 1, 256), 44..45)));
    assert_eq!(holding(7, 3, 70_000), Ok((coordinate(0, 1, 256), 128..256)));
    assert_eq!(holding(8, 272, 70_000), Ok((coordinate(1, 1, 17), 16..17)));
    assert_eq!(holding(9, 136, 70_000), Err(TileError::NodeMissing { node: Node { level: 9, index: 136 } }));
    assert_eq!(holding(16, 0, 70_000), Ok((coordinate(2, 0, 1), 0..1)));
    assert_eq!(holding(0, 69_999, 70_000), Ok((coordinate(0, 273, 112), 111..112)));
    for (level, index) in [(0, 70_000), (1, 35_000), (17, 0), (64, 0), (u32::MAX, 0), (0, u64::MAX), (63, u64::MAX)] {
        assert!(holding(level, index, 70_000).is_err(), "level {level}, index {index}");
    }
}

#[test]
fn every_proof_up_to_600_entries_comes_out_of_the_tiles_its_plan_names() {
    let tree = MemoryTree::of_size(600);
    for size in (1..=600).rev().step_by(7) {
        for index in (0..size).step_by(11) {
            let plan = ProofPlan::inclusion(index, size).unwrap();
            let mut tiles = TileSet::default();
            for tile in plan.tiles() {
                assert!(tiles_for(size).any(|existing| existing == tile), "{tile} at size {size}");
                let level = u32::from(tile.level()) * TILE_HEIGHT;
                let hashes = tile.positions().map(|index| tree.node(Node { level, index })).collect();
                tiles.insert(tile, Arc::new(TileNodes::new(hashes))).unwrap();
            }
            let path = plan.resolve(|node| tiles.node(node)).unwrap();
            assert_eq!(verify_inclusion(tree.leaf(index), index, size, &path, tree.root(size)), Ok(()));
        }
    }
}

#[test]
fn a_missing_or_narrow_tile_is_named() {
    let tree = MemoryTree::of_size(300);
    let hashes = |width: u64| Arc::new(TileNodes::new((0..width).map(|index| tree.leaf(index)).collect()));
    let mut tiles = TileSet::default();
    let node = Node { level: 2, index: 1 };
    assert_eq!(tiles.node(node), Err(TileError::NodeMissing { node }));
    tiles.insert(coordinate(0, 0, 7), hashes(7)).unwrap();
    assert_eq!(tiles.node(node), Err(TileError::NodeMissing { node }));
    tiles.insert(coordinate(0, 0, 256), hashes(256)).unwrap();
    assert_eq!(tiles.node(node), Ok(tree.node(node)));
    // A narrower version arriving later takes nothing away.
    tiles.insert(coordinate(0, 0, 7), hashes(7)).unwrap();
    assert_eq!(tiles.node(node), Ok(tree.node(node)));
    let wrong = TileError::HashCount { coordinate: coordinate(0, 0, 9), found: 8 };
    assert_eq!(tiles.insert(coordinate(0, 0, 9), hashes(8)), Err(wrong));
    // One that holds more than it was asked for is as good.
    let mut tiles = TileSet::default();
    tiles.insert(coordinate(0, 0, 7), hashes(256)).unwrap();
    assert_eq!(tiles.node(node), Ok(tree.node(node)));
}

#[test]
fn tile_bytes_are_the_hashes_end_to_end() {
    let hashes = vec![Sha256Digest::of(b"a"), Sha256Digest::of(b"b")];
    let bytes = encode_hashes(&hashes);
    assert_eq!(bytes.len(), 64);
    assert_eq!(bytes[32..], *hashes[1].as_bytes());
    assert_eq!(decode_hashes(coordinate(0, 0, 2), &bytes), Ok(hashes));
    for (width, length) in [(1, 64), (3, 64), (2, 63)] {
        let expected = TileError::HashBytes { coordinate: coordinate(0, 0, width), found: length };
        assert_eq!(decode_hashes(coordinate(0, 0, width), &bytes[..length]), Err(expected));
    }
}

#[test]
fn entry_bundles_prefix_each_entry_with_its_length() {
    let entries: [&[u8]; 3] = [b"ab", b"", b"c"];
    let bytes = encode_entry_bundle(entries).unwrap();
    assert_eq!(bytes, b"\x00\x02ab\x00\x00\x00\x01c");
    assert_eq!(decode_entry_bundle(3, &bytes), Ok(entries.to_vec()));

    let largest = vec![7; ENTRY_BYTES_MAX];
    let bytes = encode_entry_bundle([largest.as_slice()]).unwrap();
    assert_eq!(decode_entry_bundle(1, &bytes), Ok(vec![largest.as_slice()]));
    let too_large = TileError::EntryTooLarge { position: 1, bytes: ENTRY_BYTES_MAX + 1 };
    assert_eq!(encode_entry_bundle([b"a".as_slice(), &vec![7; ENTRY_BYTES_MAX + 1]]), Err(too_large));
}

proptest! {
    #[test]
    fn coordinates_survive_their_path(level in 0..=TILE_LEVEL_MAX, n in 0..TILE_COUNT_MAX, width in 1..=TILE_WIDTH) {
        let path = TilePath::Hashes(coordinate(level, n, width));
        prop_assert_eq!(path.to_string().parse(), Ok(path));
        let path = TilePath::Entries(BundleCoordinate::new(n, width).unwrap());
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn whatever_parses_as_a_path_is_written_the_same(path in "/tile/([0-9]{1,2}|entries)/(x[0-9]{3}/){0,2}[0-9x]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(read) = path.parse::<TilePath>() {
            prop_assert_eq!(read.to_string(), path);
        }
    }

    #[test]
    fn bundles_are_read_whole_or_not_at_all(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let width = u16::try_from(entries.len()).unwrap();
        let bytes = encode_entry_bundle(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(decode_entry_bundle(width, &bytes).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert!(decode_entry_bundle(width, &bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(decode_entry_bundle(width - 1, &bytes).is_err());
        prop_assert!(decode_entry_bundle(width + 1, &bytes).is_err());
        prop_assert!(decode_entry_bundle(width, &[bytes.as_slice(), &[0]].concat()).is_err());
    }
}
