//! Which engine the tests of this process are about.

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The embedded one.
    Sqlite,
    /// The other.
    Postgres,
}

impl Engine {
    /// The one that `STRONGROOM_TEST_ENGINE` names; the embedded one when it
    /// names none.
    ///
    /// # Panics
    /// When it names another.
    #[expect(clippy::disallowed_methods, reason = "which tests are run is told by whoever runs them")]
    pub fn under_test() -> Self {
        match std::env::var("STRONGROOM_TEST_ENGINE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("STRONGROOM_TEST_ENGINE is {other}; it may be sqlite or postgres"),
        }
    }
}
