//! What holds a secret can't be printed, copied or compared: not by mistake,
//! not by a derive that somebody adds. The compiler checks it; there is nothing
//! to run. (Nothing can be serialised: the crate doesn't know `serde`.)

use std::fmt::{Debug, Display, LowerHex, Pointer};
use std::hash::Hash;
use std::ops::Deref;
use strongroom_core::app::{
    Attempt, Chosen, NewFactors, OpenLink, SetUp, SignInState, SignedIn, Whereabouts,
};
use strongroom_core::keyring::{Keyring, MasterKey};
use strongroom_core::passwords::Password;
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::sealing::SealingKey;
use strongroom_core::second_factor::AppSecret;
use strongroom_core::secrets::NewSecret;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::tokens::Token;
use strongroom_core::{App, Bundle, SecretValue};

/// Says no for every type that says nothing itself.
trait Fallback {
    const HAS: bool = false;
}

impl<T: ?Sized> Fallback for T {}

/// Whether a type has a trait, as a constant: the inherent constant is there
/// only for types that have it, and goes before that of the fallback.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[expect(
            clippy::allow_attributes,
            reason = "which of the two constants is unused depends on the type"
        )]
        #[allow(dead_code, reason = "unused when the type lacks the trait, which is hoped for")]
        impl<T: ?Sized + $trait> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

macro_rules! has_none_of_them {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            assert!(!has!($type: Debug), "can be printed");
            assert!(!has!($type: Display), "can be printed, and turned into a text");
            assert!(!has!($type: LowerHex), "can be printed");
            assert!(!has!($type: Pointer), "can be printed");
            assert!(!has!($type: Clone), "can be copied");
            assert!(!has!($type: PartialEq), "can be compared, and not in constant time");
            assert!(!has!($type: PartialOrd), "can be compared, and not in constant time");
            assert!(!has!($type: Hash), "can be hashed");
            assert!(!has!($type: Deref), "passes for what it holds");
            assert!(!has!($type: AsRef<str>), "passes for a text");
            assert!(!has!($type: AsRef<[u8]>), "passes for bytes");
            assert!(!has!($type: Into<String>), "passes for a text");
            assert!(!has!($type: Into<Vec<u8>>), "passes for bytes");
        };
    )+};
}

has_none_of_them!(SecretValue, Bundle, NewSecret, SealingKey, Token, MasterKey, LocalRootKey, Keyring, App);
has_none_of_them!(Password, Chosen, Attempt, OpenLink, SetUp, SignedIn, SignInState, NewFactors);

// These are copied, and no more.
const _: () = {
    assert!(!has!(AppSecret: Debug) && !has!(AppSecret: Display) && !has!(AppSecret: PartialEq));
    assert!(!has!(Whereabouts: Debug), "a browser's mark is in it");
    assert!(!has!(SignIn: Debug));
};

// The probe sees what is there.
const _: () = {
    assert!(has!(String: Debug) && has!(String: Display) && has!(String: Clone) && has!(String: PartialEq));
    assert!(has!(String: Hash) && has!(String: Deref) && has!(String: PartialOrd) && has!(u8: LowerHex));
    assert!(has!(String: AsRef<str>) && has!(String: AsRef<[u8]>) && has!(str: Debug) && has!(&str: Pointer));
    assert!(has!(String: Into<String>) && has!(String: Into<Vec<u8>>));
    assert!(!has!(std::sync::Mutex<u8>: Clone) && !has!(Box<u8>: Copy));
};
