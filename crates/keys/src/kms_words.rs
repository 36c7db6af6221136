//! What AWS KMS calls things: keys and refusals. Needs nothing of its SDK.

use crate::remote::Trouble;

/// The region in `arn:PARTITION:kms:REGION:…`, a key's or an alias's.
pub(crate) fn region_of(name: &str) -> Option<&str> {
    name.strip_prefix("arn:")?.split(':').nth(2).filter(|region| !region.is_empty())
}

/// The id in a key's ARN, which the key has in each region to which it is replicated.
pub(crate) fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("arn:")?.split_once(":key/").map(|(_, id)| id)
}

/// What a refusal of this code means: which trouble, in a few words why, and what
/// to do where that doesn't follow from the trouble.
pub(crate) fn meaning(code: &str) -> (Trouble, &'static str, Option<&'static str>) {
    match code {
        "IncorrectKeyException" => {
            (Trouble::WrongKey, "KMS knows another", Some("name the instance's own key with --kms-key"))
        }
        "InvalidCiphertextException" => (
            Trouble::WrongKey,
            "it doesn't open what is stored, so it is another, or the database was altered",
            Some("name the instance's own key, or restore a backup"),
        ),
        "NotFoundException" | "InvalidArnException" => (
            Trouble::MissingKey,
            "KMS knows no such key",
            Some("name the key by its ARN, with its region and account"),
        ),
        "DisabledException" => {
            (Trouble::Denied, "it is disabled", Some("enable it: aws kms enable-key --key-id …"))
        }
        "KMSInvalidStateException" => {
            (Trouble::Denied, "its state doesn't allow it", Some("cancel its deletion, and enable it again"))
        }
        "InvalidKeyUsageException" | "ValidationException" => (
            Trouble::Unsuitable,
            "it isn't for encryption",
            Some("name a symmetric key for encryption (SYMMETRIC_DEFAULT)"),
        ),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "IncompleteSignature" => {
            (Trouble::Denied, "AWS doesn't take the credentials", Some("renew the credentials"))
        }
        "KMSInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "ThrottlingException"
        | "ServiceUnavailable"
        | "InternalFailure" => (Trouble::Unreachable, "KMS can't do it now", None),
        _ => (Trouble::Denied, "the credentials have no permission", None),
    }
}

/// The code itself, if it is one: letters and digits, not too many.
pub(crate) fn shown(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_and_id_are_read_from_arns() {
        let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(region_of(key), Some("eu-central-1"));
        assert_eq!(id_of(key), Some("1234abcd-12ab-34cd-56ef-1234567890ab"));
        let alias = "arn:aws:kms:eu-central-1:111122223333:alias/strongroom";
        assert_eq!((region_of(alias), id_of(alias)), (Some("eu-central-1"), None));
        assert_eq!((region_of("alias/strongroom"), id_of("alias/strongroom")), (None, None));
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        for (code, trouble) in [
            ("IncorrectKeyException", Trouble::WrongKey),
            ("InvalidCiphertextException", Trouble::WrongKey),
            ("NotFoundException", Trouble::MissingKey),
            ("DisabledException", Trouble::Denied),
            ("KMSInvalidStateException", Trouble::Denied),
            ("AccessDeniedException", Trouble::Denied),
            ("ExpiredTokenException", Trouble::Denied),
            ("InvalidKeyUsageException", Trouble::Unsuitable),
            ("ThrottlingException", Trouble::Unreachable),
            ("403", Trouble::Denied),
        ] {
            assert_eq!(meaning(code).0, trouble, "{code}");
        }
    }

    #[test]
    fn what_is_no_code_is_not_repeated() {
        assert_eq!(shown("a\u{1b}[31m\nb; c"), "a31mbc");
        assert_eq!(shown(&"x".repeat(1000)).len(), 64);
    }
}
