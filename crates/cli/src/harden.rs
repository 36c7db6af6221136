//! What the process does to itself before it touches a key: leaves no core
//! file, lets no other process of its user look into its memory, and makes
//! files that only its user may read.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::failure::Failure;

/// What the process was started with, for whoever starts another that isn't
/// ours to change.
#[derive(Clone, Copy)]
pub(crate) struct Inherited {
    umask: Mode,
    descriptors: Rlimit,
}

impl Inherited {
    /// Puts it back. Core files stay turned off.
    pub(crate) fn restore(self) {
        umask(self.umask);
        let _as_it_is = setrlimit(Resource::Nofile, self.descriptors);
    }
}

/// Hardens this process, and says what it was like before.
///
/// # Errors
/// When the system refuses; a process that could leak is not run.
pub(crate) fn process() -> Result<Inherited, Failure> {
    let umask = umask(Mode::from_raw_mode(0o077));
    no_core_files()?;
    not_dumpable()?;
    Ok(Inherited { umask, descriptors: all_descriptors() })
}

fn no_core_files() -> Result<(), Failure> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .map_err(|error| Failure::because("the system refused to turn core files off", &error))
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> Result<(), Failure> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| {
        Failure::because("the system refused to close the process's memory to others", &error)
    })
}

#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> Result<(), Failure> {
    Ok(())
}

/// A server that runs out of descriptors turns clients away; the soft limit is
/// often 1,024. Staying at it is no danger, so a refusal is ignored.
fn all_descriptors() -> Rlimit {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, ..limits };
    let _kept = setrlimit(Resource::Nofile, raised);
    limits
}
