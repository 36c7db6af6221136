//! Times on the wire: RFC 3339, UTC, milliseconds, `Z`.

use serde::Serializer;
use strongroom_core::Timestamp;

/// For `#[serde(serialize_with)]`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(crate) fn serialize<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(timestamp)
}

/// The same for a time that may be absent.
#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
pub(crate) fn optional<S: Serializer>(
    timestamp: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match timestamp {
        Some(timestamp) => serialize(timestamp, serializer),
        None => serializer.serialize_none(),
    }
}
