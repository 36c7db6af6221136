//! How the tree is stored: in tiles of up to 16 hashes. A tile of level 0 has the hashes
//! of leaves, one of level 1 those of the complete tiles below it, and so on; the last of
//! each level may have room. A subtree's hash is that of a part of one tile, so a proof
//! costs few reads at any size, and a leaf costs about 34 bytes.
//!
//! Sixteen, because the last tile of level 0 is written again whenever leaves come: a row
//! of 512 bytes costs about what a small one does, and stays in its page.

use std::collections::BTreeMap;

use super::tree::{Hash, Subtree, join};

/// The logarithm of how many hashes a complete tile has.
const HEIGHT: u32 = 4;
/// How many hashes a complete tile has.
pub const WIDTH: usize = 1 << HEIGHT;

/// Where a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// How many tiles are on the way down to the leaves.
    pub level: u32,
    /// How many of its level are left of it.
    pub index: u64,
}

impl Place {
    /// The first leaf below the hash at this place in the tile.
    pub fn first_leaf(self, hash: usize) -> u64 {
        let hashes = (self.index << HEIGHT).saturating_add(u64::try_from(hash).unwrap_or(u64::MAX));
        hashes.checked_shl(self.level * HEIGHT).unwrap_or(u64::MAX)
    }
}

/// A tile's hashes: 1 to [`WIDTH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile(Vec<Hash>);

impl Tile {
    /// From the hashes one after the other; `None` when they are none, too many or cut off.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<{ Hash::LENGTH }>();
        let is_tile = rest.is_empty() && (1..=WIDTH).contains(&hashes.len());
        is_tile.then(|| hashes.iter().filter_map(|hash| Hash::from_slice(hash)).collect()).map(Self)
    }

    /// The hashes one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// How many of the first hashes of both are the same.
    pub fn same_as(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).take_while(|(one, other)| one == other).count()
    }

    /// How many hashes it has.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The hash of a subtree that lies in this tile; `None` where it doesn't reach.
    fn hash_of(&self, subtree: Subtree) -> Option<Hash> {
        let (_, first, count) = within(subtree);
        let hashes = self.0.get(first..first.checked_add(count)?)?;
        Some(complete(hashes))
    }
}

/// The hash of a complete subtree.
fn complete(hashes: &[Hash]) -> Hash {
    match hashes.split_at(hashes.len() / 2) {
        ([], _) => join(hashes),
        (left, right) => Hash::node(complete(left), complete(right)),
    }
}

/// In which tile a subtree lies, and which of its hashes it is over.
fn within(subtree: Subtree) -> (Place, usize, usize) {
    let (level, above) = (subtree.level / HEIGHT, subtree.level % HEIGHT);
    let first = subtree.index << above;
    let place = Place { level, index: first >> HEIGHT };
    (place, usize::try_from(first).unwrap_or_default() % WIDTH, 1 << above)
}

/// In which tile a subtree lies.
pub fn place_of(subtree: Subtree) -> Place {
    within(subtree).0
}

/// Tiles that were read.
#[derive(Clone, Debug, Default)]
pub struct Tiles(pub BTreeMap<Place, Tile>);

impl Tiles {
    /// The hash of a subtree, if its tile is here and reaches so far.
    pub fn hash_of(&self, subtree: Subtree) -> Option<Hash> {
        self.0.get(&place_of(subtree))?.hash_of(subtree)
    }
}

/// Where the tiles are that aren't complete in a tree of this size, from the leaves up.
pub fn edge(size: u64) -> impl Iterator<Item = Place> {
    (0..u64::BITS / HEIGHT).filter_map(move |level| {
        let hashes = size >> (level * HEIGHT);
        let is_open = !hashes.is_multiple_of(WIDTH as u64);
        is_open.then_some(Place { level, index: hashes >> HEIGHT })
    })
}

/// The right edge of a tree, to which leaves are added.
#[derive(Debug)]
pub struct Edge {
    size: u64,
    /// The hashes of the tile of each level that isn't complete.
    open: Vec<Vec<Hash>>,
    changed: BTreeMap<Place, Tile>,
}

impl Edge {
    /// The edge of a tree of this size, from the tiles that are there by [`edge`]; `None`
    /// when one is missing or of another size.
    pub fn new(size: u64, tiles: &Tiles) -> Option<Self> {
        let mut open = Vec::new();
        for place in edge(size) {
            let tile = tiles.0.get(&place)?;
            let hashes = size >> (place.level * HEIGHT);
            let expected = usize::try_from(hashes % WIDTH as u64).ok()?;
            let level = usize::try_from(place.level).ok()?;
            open.resize(level + 1, Vec::new());
            // A later sealing may have been cut off between two tiles: what is there
            // already is the same.
            open.last_mut()?.extend(tile.0.get(..expected)?);
        }
        Some(Self { size, open, changed: BTreeMap::new() })
    }

    /// The edge of a tree without leaves.
    pub const fn empty() -> Self {
        Self { size: 0, open: Vec::new(), changed: BTreeMap::new() }
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut hash, mut level) = (leaf, 0_u32);
        loop {
            let at = level as usize;
            if self.open.len() <= at {
                self.open.resize(at + 1, Vec::new());
            }
            let Some(open) = self.open.get_mut(at) else { return };
            open.push(hash);
            let index = (self.size >> (level * HEIGHT)) >> HEIGHT;
            self.changed.insert(Place { level, index }, Tile(open.clone()));
            if open.len() < WIDTH {
                break;
            }
            hash = complete(open);
            open.clear();
            level += 1;
        }
        self.size += 1;
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hash of the whole tree.
    pub fn root(&self) -> Hash {
        let mut subtrees = Vec::new();
        for open in self.open.iter().rev() {
            let mut rest = open.as_slice();
            while let Some(most) = rest.len().checked_ilog2() {
                let (subtree, behind) = rest.split_at(1 << most);
                subtrees.push(complete(subtree));
                rest = behind;
            }
        }
        join(&subtrees)
    }

    /// The tiles that came or changed since this was last asked.
    pub fn take_changed(&mut self) -> BTreeMap<Place, Tile> {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{
        Frontier, Leaves, consistency, inclusion, proves_consistency, proves_inclusion,
    };
    use super::*;

    fn leaf(leaf: u64) -> Hash {
        Hash::leaf(&leaf.to_be_bytes())
    }

    /// A tree that grew so many leaves at a time, each time from what was stored.
    fn grown(steps: &[u64]) -> (u64, Hash, Tiles) {
        let (mut tiles, mut size, mut root) = (Tiles::default(), 0, Hash::of_nothing());
        for step in steps {
            let mut edge = Edge::new(size, &tiles).unwrap();
            assert_eq!(edge.root(), root);
            (size..size + step).for_each(|at| edge.push(leaf(at)));
            (size, root) = (edge.size(), edge.root());
            for (place, tile) in edge.take_changed() {
                assert_eq!(Tile::from_slice(&tile.to_bytes()).as_ref(), Some(&tile));
                tiles.0.insert(place, tile);
            }
        }
        (size, root, tiles)
    }

    fn hash_of(tiles: &Tiles, range: Leaves) -> Hash {
        let hashes: Vec<_> = range.subtrees().map(|subtree| tiles.hash_of(subtree).unwrap()).collect();
        join(&hashes)
    }

    #[test]
    fn stored_tiles_are_the_tree_however_it_grew() {
        for steps in
            [vec![0], vec![1; 300], vec![16, 16, 224, 1, 4_095], vec![4_353], vec![15, 1, 240, 3_840]]
        {
            let (size, root, tiles) = grown(&steps);
            let mut whole = Frontier::default();
            (0..size).for_each(|at| whole.push(0, leaf(at)).unwrap());
            assert_eq!((size, root), (whole.size(), whole.root()), "{steps:?}");
            assert_eq!(hash_of(&tiles, Leaves { first: 0, end: size }), root);
        }
    }

    #[test]
    fn proofs_come_from_stored_tiles_for_every_size_that_was() {
        let (size, root, tiles) = grown(&[4_500]);
        let mut roots = vec![Hash::of_nothing()];
        let mut whole = Frontier::default();
        for at in 0..size {
            whole.push(0, leaf(at)).unwrap();
            roots.push(whole.root());
        }
        for old in (1..=size).step_by(37) {
            let proof = consistency(old, size).unwrap();
            let proof: Vec<_> = proof.into_iter().map(|range| hash_of(&tiles, range)).collect();
            let old_root = roots[usize::try_from(old).unwrap()];
            assert!(proves_consistency((old, old_root), (size, root), &proof));
            let proof = inclusion(old - 1, size).unwrap();
            let proof: Vec<_> = proof.into_iter().map(|range| hash_of(&tiles, range)).collect();
            assert!(proves_inclusion((old - 1, leaf(old - 1)), (size, root), &proof));
        }
    }

    #[test]
    fn an_edge_that_is_not_there_is_missed() {
        let (size, _, mut tiles) = grown(&[300]);
        assert!(Edge::new(size + 1, &tiles).is_none(), "a tile that is too short");
        tiles.0.retain(|place, _| place.level == 0);
        assert!(Edge::new(size, &tiles).is_none());
    }

    #[test]
    fn a_tile_is_whole_hashes() {
        for length in [0, 1, 31, 33, Hash::LENGTH * (WIDTH + 1)] {
            assert_eq!(Tile::from_slice(&vec![7; length]), None, "{length}");
        }
        assert!(Tile::from_slice(&[7; Hash::LENGTH]).is_some());
    }
}
