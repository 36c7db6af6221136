//! The certificate that a server shows and the key for it, from their files:
//! when it starts, and again whenever it gets SIGHUP. A pair that can't be used
//! stops a start; while the server runs it changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use strongroom_core::{Clock, Timestamp};
use strongroom_keys::private_file::{self, PrivateFileError};
use strongroom_net::{Identity, IdentityError, Tls};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Listening;
use crate::clock::SystemClock;
use crate::failure::Failure;

/// Where the certificate and its key are.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Those that are named; none if the server is to do without TLS.
    fn named(listening: &Listening) -> Result<Option<Self>, Failure> {
        let alone = |given: &str, missing: &str| {
            Err(Failure::new(format!("{given} is given and {missing} is not"))
                .hint("TLS needs both: the certificate and the key that belongs to it"))
        };
        match (&listening.address.tls_cert, &listening.tls_key) {
            (None, None) => Ok(None),
            (Some(_), None) => alone("--tls-cert", "--tls-key"),
            (None, Some(_)) => alone("--tls-key", "--tls-cert"),
            (Some(certificate), Some(key)) => {
                Ok(Some(Self { certificate: certificate.clone(), key: key.clone() }))
            }
        }
    }

    fn read(&self, now: Timestamp) -> Result<Identity, Failure> {
        let certificates = std::fs::read(&self.certificate).map_err(|error| {
            Failure::because(format!("the certificate {} can't be read", self.certificate.display()), &error)
                .hint("name a file with --tls-cert that this process's user may read")
        })?;
        let key = private_file::read_through_links(&self.key).map_err(|error| match error {
            PrivateFileError::Io { source, .. } => {
                Failure::because(format!("the key {} can't be read", self.key.display()), &source)
                    .hint("name a file with --tls-key that this process's user may read")
            }
            other => Failure::from(other),
        })?;
        let identity =
            Identity::from_pem(&certificates, key.as_bytes()).map_err(|error| self.refuse(error))?;
        self.in_time(&identity, now)?;
        Ok(identity)
    }

    fn refuse(&self, error: IdentityError) -> Failure {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match error {
            IdentityError::NoCertificate | IdentityError::GarbledCertificate => {
                Failure::new(format!("{certificate} can't be used: {error}")).hint(
                    "give a file in PEM: the server's own certificate, then those between it and the authority's; \
                     certbot calls it fullchain.pem",
                )
            }
            IdentityError::NoKey | IdentityError::GarbledKey => {
                Failure::new(format!("{key} can't be used: {error}"))
                    .hint("give a file in PEM with an unencrypted ECDSA, Ed25519 or RSA key; certbot calls it privkey.pem")
            }
            IdentityError::Mismatch => {
                Failure::new(format!("the key in {key} doesn't belong to the first certificate in {certificate}"))
                    .hint("give the pair that was made together, with the server's own certificate first in its file")
            }
        }
    }

    fn in_time(&self, identity: &Identity, now: Timestamp) -> Result<(), Failure> {
        let certificate = self.certificate.display();
        let (begins, ends) = (moment(identity.begins()), moment(identity.ends()));
        if now >= ends {
            return Err(Failure::new(format!("a certificate in {certificate} ended at {ends}")).hint(
                format!("renew it; if it should be valid, check this machine's clock, which says {now}"),
            ));
        }
        if now < begins {
            return Err(Failure::new(format!("a certificate in {certificate} is not valid before {begins}"))
                .hint(format!("check this machine's clock, which says {now}")));
        }
        Ok(())
    }
}

/// The present certificate of a server, and ears for the signal that says that
/// there is a new one.
pub(crate) struct Renewed {
    files: Files,
    tls: Arc<Tls>,
    hangups: Signal,
}

impl Renewed {
    /// Reads the files that are named, if any are.
    ///
    /// # Errors
    /// When only one is named, or clients would refuse what is in them.
    pub(crate) fn start(listening: &Listening) -> Result<Option<Self>, Failure> {
        let Some(files) = Files::named(listening)? else { return Ok(None) };
        let identity = files.read(SystemClock.now())?;
        tracing::info!(ends = %moment(identity.ends()), "tls.loaded");
        let hangups = signal(SignalKind::hangup())?;
        Ok(Some(Self { files, tls: Tls::new(identity), hangups }))
    }

    /// What a front takes.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Reads the files again at each SIGHUP, for ever.
    pub(crate) async fn keep(&mut self) {
        while self.hangups.recv().await.is_some() {
            match self.files.read(SystemClock.now()) {
                Ok(identity) => {
                    tracing::info!(ends = %moment(identity.ends()), "tls.renewed");
                    self.tls.replace(identity);
                }
                Err(failure) => {
                    let hint = failure.remedy().unwrap_or_default();
                    tracing::error!(
                        error = failure.message(),
                        hint,
                        "tls.kept: the new certificate can't be used"
                    );
                }
            }
        }
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}
