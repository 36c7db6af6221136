//! What holds for any key, place and plaintext.

use proptest::prelude::*;
use strongroom_core::keyring::MasterKey;
use strongroom_core::rows::RowMac;
use strongroom_core::sealing::{OVERHEAD, Sealed};
use strongroom_core::tokens::{Token, TokenHash, TokenKind};
use strongroom_core::{InstanceId, OsRandom};

use crate::independent::{self, Id, Key32};
use crate::support::{Place, opened, sealed_by_us, sealing_key};

fn place() -> impl Strategy<Value = Place> {
    let field = prop::collection::vec(any::<u8>(), 0..20);
    ("\\PC{0,20}", prop::collection::vec(field, 0..6)).prop_map(|(label, fields)| Place { label, fields })
}

/// Two places of one row of bytes, cut into fields differently: what only the
/// lengths tell apart.
fn regrouped() -> impl Strategy<Value = (Place, Place)> {
    let cuts = || prop::collection::vec(0..=12_usize, 0..4);
    (prop::collection::vec(0..=2_u8, 12), cuts(), cuts()).prop_map(|(bytes, one, other)| {
        let cut = |mut at: Vec<usize>| {
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            Place::new("", &at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect::<Vec<_>>())
        };
        (cut(one), cut(other))
    })
}

/// Bytes that get further than the first comparison: a right header before
/// anything.
fn plausible(id: Id) -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let headed = any_bytes().prop_map(move |rest| [independent::header(&id), rest].concat());
    prop_oneof![any_bytes(), headed]
}

proptest! {
    #[test]
    fn what_is_sealed_opens(key: Key32, id: Id, place in place(), plain in prop::collection::vec(any::<u8>(), 0..300)) {
        let sealer = sealing_key(&id, &key);
        let blob = sealed_by_us(&sealer, &place, &plain);
        prop_assert_eq!(blob.len(), plain.len() + OVERHEAD);
        prop_assert_eq!(Sealed::from_bytes(blob.clone()).key_id(), Ok(sealer.id()));
        prop_assert_eq!(opened(&sealer, &place, &blob), Some(plain.clone()));
        prop_assert_eq!(independent::open(&key, &place.bytes(), &blob), Ok(plain));
    }

    #[test]
    fn what_another_library_seals_opens(key: Key32, id: Id, chance: Key32, place in place(), plain: Vec<u8>) {
        let blob = independent::seal(&key, &id, &place.bytes(), &chance, &plain);
        prop_assert_eq!(opened(&sealing_key(&id, &key), &place, &blob), Some(plain));
    }

    #[test]
    fn no_other_place_opens(key: Key32, here in place(), there in place(), plain: Vec<u8>) {
        prop_assume!(here != there);
        let sealer = sealing_key(&[0; 16], &key);
        prop_assert_eq!(opened(&sealer, &there, &sealed_by_us(&sealer, &here, &plain)), None);
    }

    #[test]
    fn no_other_grouping_of_the_same_bytes_opens(key: Key32, (here, there) in regrouped()) {
        let sealer = sealing_key(&[0; 16], &key);
        let found = opened(&sealer, &there, &sealed_by_us(&sealer, &here, b"x"));
        prop_assert_eq!(found.is_some(), here == there);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(key: Key32, bytes in plausible([7; 16]), place in place()) {
        let sealed = Sealed::from_bytes(bytes.clone());
        let has_layout = bytes.len() >= OVERHEAD && bytes.starts_with(&[1, 1]);
        prop_assert_eq!(sealed.key_id().is_ok(), has_layout);
        prop_assert_eq!(opened(&sealing_key(&[7; 16], &key), &place, &bytes), None);
    }

    #[test]
    fn any_other_length_of_a_column_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        prop_assert_eq!(RowMac::from_slice(&bytes).is_some(), bytes.len() == 34);
        prop_assert_eq!(TokenHash::from_slice(&bytes).is_some(), bytes.len() == 34);
        let instance = InstanceId::from_uuid(uuid::Uuid::nil());
        prop_assert_eq!(MasterKey::first(instance, &bytes).is_ok(), bytes.len() == 32);
    }

    #[test]
    fn a_token_is_of_its_kind_only(id: u128, made in 0..5_usize, read in 0..5_usize) {
        let [made, read] = [made, read].map(|at| TokenKind::ALL[at]);
        let token = Token::mint(made, uuid::Uuid::from_u128(id), &OsRandom);
        let parsed = Token::parse(read, token.reveal());
        prop_assert_eq!(parsed.is_ok_and(|token| token.id().as_u128() == id), made == read);
    }
}
