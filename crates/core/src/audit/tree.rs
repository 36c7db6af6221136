//! The Merkle tree of RFC 6962: hashes, and which of them prove what.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// SHA-256 of a leaf or of a subtree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; Hash::LENGTH]);

impl Hash {
    /// Bytes in a hash.
    pub const LENGTH: usize = 32;

    /// The hash of a leaf with these bytes: RFC 6962 §2.1, `0x00` before them.
    pub fn leaf(bytes: &[u8]) -> Self {
        Self::of(&[&[0], bytes])
    }

    /// The hash over two subtrees: `0x01` before them.
    #[must_use]
    pub fn node(left: Self, right: Self) -> Self {
        Self::of(&[&[1], &left.0, &right.0])
    }

    /// The hash of a tree without leaves.
    pub fn of_nothing() -> Self {
        Self::of(&[])
    }

    fn of(pieces: &[&[u8]]) -> Self {
        // At once: to begin a digest piece by piece takes longer than to put a leaf or a node together.
        let digest = digest::digest(&digest::SHA256, &pieces.concat());
        let mut hash = [0; Self::LENGTH];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }

    /// From its bytes; `None` when there aren't 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From base64; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().as_deref().and_then(Self::from_slice)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// Base64, as proofs and checkpoints have it.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// A complete subtree: 2^`level` leaves, the `index`th of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// The logarithm of how many leaves it has; below 64.
    pub level: u32,
    /// How many as large are left of it.
    pub index: u64,
}

impl Subtree {
    /// Its first leaf.
    pub const fn first(self) -> u64 {
        self.index << self.level
    }

    /// The largest that begins at this leaf and ends by `end`; `None`: there is no room.
    pub const fn largest(first: u64, end: u64) -> Option<Self> {
        let Some(room) = end.saturating_sub(first).checked_ilog2() else { return None };
        let aligned = first.trailing_zeros();
        let level = if aligned < room { aligned } else { room };
        Some(Self { level, index: first >> level })
    }

    /// How many leaves it has.
    pub const fn leaves(self) -> u64 {
        1 << self.level
    }

    /// Its leaves.
    pub const fn range(self) -> Leaves {
        Leaves { first: self.first(), end: self.first() + self.leaves() }
    }
}

/// The leaves from `first` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaves {
    /// The first.
    pub first: u64,
    /// The one behind the last.
    pub end: u64,
}

impl Leaves {
    /// The complete subtrees of which they consist, from left to right.
    pub fn subtrees(self) -> impl Iterator<Item = Subtree> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let subtree = Subtree::largest(at, self.end)?;
            at += subtree.leaves();
            Some(subtree)
        })
    }

    /// Where RFC 6962 parts them: behind the largest power of two that is smaller than
    /// how many there are. `None` where there aren't two.
    fn parted(self) -> Option<(Self, Self)> {
        let last = self.end.saturating_sub(self.first).checked_sub(1)?.checked_ilog2()?;
        let middle = self.first + (1 << last);
        Some((Self { end: middle, ..self }, Self { first: middle, ..self }))
    }
}

/// The hash of leaves from the hashes of the subtrees of which they consist, from
/// left to right.
pub fn join(subtrees: &[Hash]) -> Hash {
    let joined = subtrees.iter().rev().copied().reduce(|right, left| Hash::node(left, right));
    joined.unwrap_or_else(Hash::of_nothing)
}

/// What proves that a leaf is in a tree of this size: the leaves whose hashes they are,
/// from the leaf upwards. `None` where it isn't.
pub fn inclusion(leaf: u64, size: u64) -> Option<Vec<Leaves>> {
    if leaf >= size {
        return None;
    }
    let (mut proof, mut whole) = (Vec::new(), Leaves { first: 0, end: size });
    while let Some((left, right)) = whole.parted() {
        let (with, without) = if leaf < left.end { (left, right) } else { (right, left) };
        proof.push(without);
        whole = with;
    }
    proof.reverse();
    Some(proof)
}

/// What proves that a tree of one size goes on as that of another: as above. `None`
/// where it can't.
pub fn consistency(old: u64, new: u64) -> Option<Vec<Leaves>> {
    if old == 0 || old > new {
        return None;
    }
    let (mut proof, mut whole) = (Vec::new(), Leaves { first: 0, end: new });
    let mut is_known = true;
    while old != whole.end {
        let Some((left, right)) = whole.parted() else { break };
        if old <= left.end {
            proof.push(right);
            whole = left;
        } else {
            proof.push(left);
            whole = right;
            is_known = false;
        }
    }
    if !is_known {
        proof.push(whole);
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that a leaf with this hash is in a tree: RFC 9162 §2.1.3.2.
pub fn proves_inclusion(leaf: (u64, Hash), tree: (u64, Hash), proof: &[Hash]) -> bool {
    let ((at, hash), (size, root)) = (leaf, tree);
    let Some(mut last) = size.checked_sub(1).filter(|last| at <= *last) else { return false };
    let (mut at, mut hash) = (at, hash);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(*sibling, hash);
            (at, last) = up_to_right(at, last);
        } else {
            hash = Hash::node(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Whether a proof shows that one tree goes on as another: RFC 9162 §2.1.4.2. Any goes
/// on from nothing.
pub fn proves_consistency(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 {
        return proof.is_empty() && old_root == Hash::of_nothing();
    }
    if old_size >= new_size {
        return proof.is_empty() && old == new;
    }
    let known = old_size.is_power_of_two().then_some(old_root);
    let mut hashes = known.into_iter().chain(proof.iter().copied());
    let Some(begin) = hashes.next() else { return false };
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    let below = at.trailing_ones();
    (at, last) = (at >> below, last >> below);
    let (mut of_old, mut of_new) = (begin, begin);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = Hash::node(sibling, of_old);
            of_new = Hash::node(sibling, of_new);
            (at, last) = up_to_right(at, last);
        } else {
            of_new = Hash::node(of_new, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && of_old == old_root && of_new == new_root
}

/// Past the levels on which a node at the right edge has no sibling.
fn up_to_right(at: u64, last: u64) -> (u64, u64) {
    let alone = if at == 0 { 0 } else { at.trailing_zeros() };
    (at >> alone, last >> alone)
}

/// A tree of which only its size and as many hashes as it takes to go on are kept.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    subtrees: Vec<(Subtree, Hash)>,
}

impl Frontier {
    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.subtrees.last().map_or(0, |(last, _)| last.first() + last.leaves())
    }

    /// Adds leaves by the hash of the subtree that they are.
    ///
    /// # Errors
    /// When that subtree isn't one of a tree that goes on here.
    pub fn push(&mut self, level: u32, hash: Hash) -> Result<(), Misplaced> {
        let at = self.size();
        if level > 62 || at & ((1 << level) - 1) != 0 || at.checked_add(1 << level).is_none() {
            return Err(Misplaced);
        }
        let (mut subtree, mut hash) = (Subtree { level, index: at >> level }, hash);
        while subtree.index & 1 == 1
            && let Some((left, of_left)) = self.subtrees.pop_if(|(left, _)| left.level == subtree.level)
        {
            subtree = Subtree { level: left.level + 1, index: left.index >> 1 };
            hash = Hash::node(of_left, hash);
        }
        self.subtrees.push((subtree, hash));
        Ok(())
    }

    /// Adds one leaf.
    ///
    /// # Errors
    /// When there are 2^62 already.
    pub fn push_leaf(&mut self, bytes: &[u8]) -> Result<(), Misplaced> {
        self.push(0, Hash::leaf(bytes))
    }

    /// The hash of the whole tree.
    pub fn root(&self) -> Hash {
        let hashes: Vec<_> = self.subtrees.iter().map(|(_, hash)| *hash).collect();
        join(&hashes)
    }
}

/// A subtree that doesn't belong where it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misplaced;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1, by its own words.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_nothing(),
            [leaf] => *leaf,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                Hash::node(root(&leaves[..half]), root(&leaves[half..]))
            }
        }
    }

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|leaf| Hash::leaf(&leaf.to_be_bytes())).collect()
    }

    fn hash_of(leaves: &[Hash], range: Leaves) -> Hash {
        root(&leaves[usize::try_from(range.first).unwrap()..usize::try_from(range.end).unwrap()])
    }

    const SIZES: std::ops::Range<u64> = 0..70;

    /// The known answers that Certificate Transparency's own tests have.
    #[test]
    fn hashes_are_those_of_certificate_transparency() {
        let hex = |hash: Hash| {
            let digits: Vec<_> = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            digits.concat()
        };
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = Frontier::default();
        assert_eq!(hex(tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (input, expected) in inputs.into_iter().zip([
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]) {
            tree.push_leaf(input).unwrap();
            assert_eq!(hex(tree.root()), expected);
        }
    }

    #[test]
    fn leaves_hash_to_the_same_however_they_are_put_together() {
        for size in SIZES {
            let all = leaves(size);
            let mut tree = Frontier::default();
            for leaf in &all {
                tree.push(0, *leaf).unwrap();
            }
            assert_eq!((tree.size(), tree.root()), (size, root(&all)));
            for first in 0..size {
                let whole = Leaves { first, end: size };
                let covered: u64 = whole.subtrees().map(Subtree::leaves).sum();
                assert_eq!(covered, size - first);
            }
            let mut coarse = Frontier::default();
            for subtree in (Leaves { first: 0, end: size }).subtrees() {
                coarse.push(subtree.level, hash_of(&all, subtree.range())).unwrap();
            }
            assert_eq!((coarse.size(), coarse.root()), (size, root(&all)));
        }
    }

    #[test]
    fn a_subtree_goes_only_where_it_belongs() {
        let mut tree = Frontier::default();
        tree.push(1, Hash::of_nothing()).unwrap();
        assert_eq!(tree.push(2, Hash::of_nothing()), Err(Misplaced));
        assert_eq!(tree.push(63, Hash::of_nothing()), Err(Misplaced));
        assert_eq!(tree.push(64, Hash::of_nothing()), Err(Misplaced));
        tree.push(1, Hash::of_nothing()).unwrap();
        assert_eq!(tree.size(), 4);
        let mut large = Frontier::default();
        large.push(62, Hash::of_nothing()).unwrap();
        large.push(62, Hash::of_nothing()).unwrap();
        large.push(62, Hash::of_nothing()).unwrap();
        assert_eq!(large.push(62, Hash::of_nothing()), Err(Misplaced), "there is no room for more");
    }

    #[test]
    fn every_leaf_is_proven_and_no_other() {
        for size in SIZES {
            let all = leaves(size);
            let tree = (size, root(&all));
            for leaf in 0..size {
                let proof = inclusion(leaf, size).unwrap();
                let mut proof: Vec<_> = proof.into_iter().map(|range| hash_of(&all, range)).collect();
                let hash = all[usize::try_from(leaf).unwrap()];
                assert!(proves_inclusion((leaf, hash), tree, &proof));
                assert!(!proves_inclusion((leaf + 1, hash), tree, &proof));
                assert!(!proves_inclusion((leaf ^ 1, hash), tree, &proof) || size == 1);
                assert!(!proves_inclusion((leaf, Hash::of_nothing()), tree, &proof));
                assert!(!proves_inclusion((leaf, hash), (size, Hash::of_nothing()), &proof));
                proof.push(hash);
                assert!(!proves_inclusion((leaf, hash), tree, &proof), "too long");
                proof.truncate(proof.len() - 1);
                if proof.pop().is_some() {
                    assert!(!proves_inclusion((leaf, hash), tree, &proof), "too short");
                }
            }
            assert_eq!(inclusion(size, size), None);
        }
    }

    #[test]
    fn a_tree_goes_on_from_each_smaller_one_and_from_no_other() {
        for size in SIZES {
            let all = leaves(size);
            let new = (size, root(&all));
            for old_size in 1..=size {
                let kept = &all[..usize::try_from(old_size).unwrap()];
                let old = (old_size, root(kept));
                let proof = consistency(old_size, size).unwrap();
                let mut proof: Vec<_> = proof.into_iter().map(|range| hash_of(&all, range)).collect();
                assert!(proves_consistency(old, new, &proof), "{old_size} of {size}");
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at] = Hash::of_nothing();
                    assert!(!proves_consistency(old, new, &other));
                }
                assert!(!proves_consistency((old_size, Hash::of_nothing()), new, &proof));
                assert!(!proves_consistency(old, (size, Hash::of_nothing()), &proof));
                proof.push(Hash::of_nothing());
                assert!(!proves_consistency(old, new, &proof), "too long");
                proof.pop();
                if proof.pop().is_some() {
                    assert!(!proves_consistency(old, new, &proof), "too short");
                }
            }
            assert_eq!((consistency(0, size), consistency(size + 1, size)), (None, None));
            assert!(proves_consistency((0, Hash::of_nothing()), new, &[]));
            assert!(!proves_consistency((0, new.1), new, &[]) || size == 0);
        }
    }
}
