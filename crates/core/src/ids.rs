//! Identifiers: one type a noun, so that a team's id can't stand for a
//! secret's. All are UUIDs; see [`crate::mint`] for how new ones come to be.

use std::fmt;
use uuid::Uuid;

use crate::text::Invalid;

/// Parses the hyphenated form of a UUID of version 1 to 8, nil or max; the
/// braced, URN and simple forms that a lenient parser takes are refused, so
/// that one object has one spelling but for the case of its letters.
fn parse_uuid(text: &str) -> Result<Uuid, Invalid> {
    const REFUSED: Invalid = Invalid::new("must be a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a");
    if text.len() != 36 {
        return Err(REFUSED);
    }
    let uuid = Uuid::try_parse(text).map_err(|_| REFUSED)?;
    let ietf =
        matches!(uuid.get_variant(), uuid::Variant::RFC4122) && (1..=8).contains(&uuid.get_version_num());
    if ietf || uuid.is_nil() || uuid.is_max() { Ok(uuid) } else { Err(REFUSED) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// From a UUID that this system minted or stored.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// From the 16 bytes of a stored row.
            ///
            /// # Errors
            /// When there aren't 16 of them.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| Invalid::new("must be 16 bytes"))
            }

            /// From the hyphenated text form.
            ///
            /// # Errors
            /// When it is anything else; the message never quotes the text.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                parse_uuid(text).map(Self)
            }

            /// The plain UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The 16 bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Names one Strongroom instance; part of every sealed record's context.
    InstanceId
    /// Names a team.
    TeamId
    /// Names a user, a person or a service user.
    UserId
    /// Names an API key; also the public part of its token.
    ApiKeyId
    /// Names a secret.
    SecretId
    /// Names a link by which a user makes an API key; also the public part of its token.
    KeyLinkId
    /// Names a user's sign-in; another one each time that it is set up.
    SignInId
    /// Names a session; also the public part of its token.
    SessionId
    /// Names an invitation; also the public part of its token.
    InvitationId
    /// Names a request to fill in a secret; also the public part of its token.
    FillRequestId
    /// Names an agent.
    AgentId
    /// Names a revision of an agent; `buildId` on the wire.
    RevisionId
    /// Names an attachment; later ones have higher ids.
    AttachmentId
    /// Names a run; also the public part of its token.
    RunId
    /// Names a key of the hierarchy; stands in the header of every blob.
    KeyId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_of_versions_1_to_8() {
        for good in [
            "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "3C90C3CC-0D44-8B50-8888-8DD25736052A",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(SecretId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "3c90c3cc0d444b5088888dd25736052a",
            "{3c90c3cc-0d44-4b50-8888-8dd25736052a}",
            "urn:uuid:3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "3c90c3cc-0d44-9b50-8888-8dd25736052a",
            "3c90c3cc-0d44-4b50-c888-8dd25736052a",
            "3c90c3cc-0d44-4b50-8888-8dd25736052g",
            "3c90c3cc-0d44-4b50-8888-8dd25736052a ",
            "../../../../etc/passwd/aaaaaaaaaaaaa",
        ] {
            assert!(SecretId::parse(bad).is_err(), "{bad}");
        }
    }
}
