use std::sync::Arc;

use super::*;
use crate::ledger::fixtures::{MemoryTree, entry};
use crate::ledger::tile::{TileNodes, TileSet, full_tiles, tiles_for};
use crate::ledger::tree::{Node, ProofPlan, leaf_hash, verify_consistency, verify_inclusion};

fn partials_of(edge: &Edge) -> Vec<Vec<Sha256Digest>> {
    Edge::levels(edge.size()).map(|level| edge.partial(level).to_vec()).collect()
}

#[test]
fn an_edge_knows_every_root_and_can_be_rebuilt_at_every_size() {
    let tree = MemoryTree::of_size(1_200);
    let mut edge = Edge::new();
    for size in 0..1_200 {
        assert_eq!(edge.size(), size);
        assert_eq!(edge.root(), tree.root(size), "size {size}");
        assert_eq!(Edge::rebuild(size, partials_of(&edge)).as_ref(), Ok(&edge), "size {size}");
        edge.append(tree.leaf(size));
    }
}

/// The vector of the tlog-tiles specification: size 70,000.
#[test]
fn appending_70_000_entries_completes_the_published_tiles() {
    const SIZE: u64 = 70_000;
    let tree = MemoryTree::of_size(SIZE);
    let mut edge = Edge::new();
    let mut completed = Vec::new();
    for index in 0..SIZE {
        // Around the first level-1 tile, where three levels change at once, the edge must also be right in between.
        if (65_530..65_800).contains(&index) {
            assert_eq!(edge.root(), tree.root(index), "size {index}");
            assert_eq!(Edge::rebuild(index, partials_of(&edge)).as_ref(), Ok(&edge), "size {index}");
        }
        let tiles = edge.append(leaf_hash(&entry(index)));
        let levels: Vec<u8> = tiles.iter().map(|tile| tile.coordinate.level()).collect();
        let expected: &[u8] = if index == 65_535 {
            &[0, 1]
        } else if index % 256 == 255 {
            &[0]
        } else {
            &[]
        };
        assert_eq!(levels, expected, "entry {index}");
        completed.extend(tiles);
    }
    assert_eq!(completed.iter().filter(|tile| tile.coordinate.level() == 0).count(), 273);
    assert_eq!(completed.iter().filter(|tile| tile.coordinate.level() == 1).count(), 1);
    assert_eq!(Edge::levels(SIZE).map(|level| edge.partial(level).len()).collect::<Vec<_>>(), [112, 17, 1]);
    assert_eq!(edge.partial(3), []);
    assert_eq!(edge.root(), tree.root(SIZE));

    // Full tiles from the edge plus its partial ones are exactly the tiles of the tree, hash for hash.
    let mut tiles = TileSet::default();
    let mut named: Vec<_> = completed.iter().map(|tile| tile.coordinate).collect();
    for tile in completed {
        for (position, hash) in tile.coordinate.positions().zip(&tile.hashes) {
            let level = u32::from(tile.coordinate.level()) * TILE_HEIGHT;
            assert_eq!(*hash, tree.node(Node { level, index: position }));
        }
        tiles.insert(tile.coordinate, Arc::new(TileNodes::new(tile.hashes))).unwrap();
    }
    for level in Edge::levels(SIZE) {
        let width = partial_width(level, SIZE);
        let coordinate = TileCoordinate::new(level, full_tiles(level, SIZE), width).unwrap();
        named.push(coordinate);
        tiles.insert(coordinate, Arc::new(TileNodes::new(edge.partial(level).to_vec()))).unwrap();
    }
    named.sort();
    assert_eq!(named, tiles_for(SIZE).collect::<Vec<_>>());

    // And they answer proofs for this size and for smaller ones.
    for (index, size) in
        [(0, SIZE), (1, SIZE), (65_535, SIZE), (65_536, SIZE), (69_999, SIZE), (33_333, 65_536), (5, 300)]
    {
        let path = ProofPlan::inclusion(index, size).unwrap().resolve(|node| tiles.node(node)).unwrap();
        assert_eq!(verify_inclusion(tree.leaf(index), index, size, &path, tree.root(size)), Ok(()));
    }
    for (old, new) in [(1, SIZE), (65_536, SIZE), (65_537, SIZE), (69_999, SIZE), (255, 257)] {
        let path = ProofPlan::consistency(old, new).unwrap().resolve(|node| tiles.node(node)).unwrap();
        assert_eq!(verify_consistency(old, tree.root(old), new, tree.root(new), &path), Ok(()));
    }
}

#[test]
fn hashes_that_do_not_fit_the_size_are_refused() {
    let hash = leaf_hash(b"");
    let rebuild = |size, widths: &[usize]| Edge::rebuild(size, widths.iter().map(|width| vec![hash; *width]).collect());
    assert!(rebuild(0, &[]).is_ok());
    assert!(rebuild(258, &[2, 1]).is_ok());
    assert_eq!(rebuild(258, &[1, 1]), Err(EdgeError::PartialWidth { level: 0, expected: 2, found: 1 }));
    assert_eq!(rebuild(258, &[2, 0]), Err(EdgeError::PartialWidth { level: 1, expected: 1, found: 0 }));
    assert_eq!(rebuild(258, &[2]), Err(EdgeError::LevelCount { size: 258, expected: 2, found: 1 }));
    assert_eq!(rebuild(258, &[2, 1, 0]), Err(EdgeError::LevelCount { size: 258, expected: 2, found: 3 }));
    assert_eq!(rebuild(SIZE_MAX + 1, &[]), Err(EdgeError::SizeTooLarge { size: SIZE_MAX + 1 }));
    assert!(rebuild(SIZE_MAX, &[0, 0, 0, 0, 0, 0, 0, 64]).is_ok());
}
