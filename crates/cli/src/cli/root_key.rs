//! Which kind of root key a new instance gets, and where an instance's is found. No
//! option here is a credential: they name files that hold one.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use strongroom_keys::remote::{AwsKms, Pkcs11, Remote, Transit};
use strongroom_keys::{file, passphrase};

/// Where the root key of a new instance comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RootKeyKind {
    /// A new file that only its owner can read.
    File,
    /// A passphrase that is asked for at each start.
    Passphrase,
    /// A key of AWS KMS, which never leaves it.
    AwsKms,
    /// A key on a PKCS#11 token, such as a hardware security module.
    Pkcs11,
    /// A key of the Transit engine of Vault or OpenBao.
    Transit,
}

/// Who keeps the root key.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Root key")]
pub(crate) struct Keeper {
    /// The file of the root key [default: root.key in the data directory]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_ROOT_KEY_FILE", hide_env_values = true)]
    pub(crate) root_key_file: Option<PathBuf>,
    /// A file of mode 0600 whose first line is the passphrase [default: ask on a terminal]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_PASSPHRASE_FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) kms: KmsOptions,
    #[command(flatten)]
    pub(crate) pkcs11: Pkcs11Options,
    #[command(flatten)]
    pub(crate) transit: TransitOptions,
}

/// A key of AWS KMS. Region and credentials are found as the AWS SDK finds them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Root key")]
pub(crate) struct KmsOptions {
    /// The AWS KMS key: its ARN, or an alias such as `alias/strongroom` [default: none, for other
    /// root keys]
    #[arg(long, value_name = "KEY", env = "STRONGROOM_KMS_KEY", hide_env_values = true)]
    pub(crate) kms_key: Option<String>,
}

/// A key on a PKCS#11 token.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Root key")]
#[expect(clippy::struct_field_names, reason = "the name of a field is that of its option")]
pub(crate) struct Pkcs11Options {
    /// The library that speaks to the PKCS#11 token [default: none, for other root keys]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_PKCS11_MODULE", hide_env_values = true)]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// The label of the token [default: the one that the instance remembers]
    #[arg(long, value_name = "LABEL", env = "STRONGROOM_PKCS11_TOKEN", hide_env_values = true)]
    pub(crate) pkcs11_token: Option<String>,
    /// The slot of the token, instead of its label [default: the one with that label]
    #[arg(long, value_name = "N", env = "STRONGROOM_PKCS11_SLOT", hide_env_values = true)]
    pub(crate) pkcs11_slot: Option<u64>,
    /// The label of the key; a new instance makes it where there is none [default: the one that the
    /// instance remembers]
    #[arg(long, value_name = "LABEL", env = "STRONGROOM_PKCS11_KEY", hide_env_values = true)]
    pub(crate) pkcs11_key: Option<String>,
    /// A file of mode 0600 whose first line is the PIN of the token's user [default: none, for other
    /// root keys]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_PKCS11_PIN_FILE", hide_env_values = true)]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
}

/// A key of a Transit engine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Root key")]
#[expect(clippy::struct_field_names, reason = "the name of a field is that of its option")]
pub(crate) struct TransitOptions {
    /// The Vault or OpenBao with the Transit engine [default: none, for other root keys]
    #[arg(long, value_name = "URL", env = "STRONGROOM_TRANSIT_URL", hide_env_values = true)]
    pub(crate) transit_url: Option<String>,
    /// Where the engine is mounted [default: the mount that the instance remembers, `transit` for a
    /// new one]
    #[arg(long, value_name = "PATH", env = "STRONGROOM_TRANSIT_MOUNT", hide_env_values = true)]
    pub(crate) transit_mount: Option<String>,
    /// The namespace of the engine [default: the one that the instance remembers, none for a new
    /// one]
    #[arg(long, value_name = "PATH", env = "STRONGROOM_TRANSIT_NAMESPACE", hide_env_values = true)]
    pub(crate) transit_namespace: Option<String>,
    /// The name of the key [default: the one that the instance remembers]
    #[arg(long, value_name = "NAME", env = "STRONGROOM_TRANSIT_KEY", hide_env_values = true)]
    pub(crate) transit_key: Option<String>,
    /// A file of mode 0600 whose first line is a token for that server [default: none, sign in with
    /// a role]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TRANSIT_TOKEN_FILE", hide_env_values = true)]
    pub(crate) transit_token_file: Option<PathBuf>,
    /// The role (AppRole) to sign in with [default: none, use a token]
    #[arg(long, value_name = "ID", env = "STRONGROOM_TRANSIT_ROLE_ID", hide_env_values = true)]
    pub(crate) transit_role_id: Option<String>,
    /// A file of mode 0600 whose first line is that role's secret id [default: none, use a token]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TRANSIT_SECRET_ID_FILE", hide_env_values = true)]
    pub(crate) transit_secret_id_file: Option<PathBuf>,
    /// The authorities by which that server's certificate is judged, in PEM [default: the system's]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TRANSIT_CA_FILE", hide_env_values = true)]
    pub(crate) transit_ca_file: Option<PathBuf>,
    /// Speak to that server off this machine's loopback without TLS: whoever sees the traffic gets
    /// the token and the master key.
    #[arg(
        long,
        value_name = "BOOL",
        env = "STRONGROOM_TRANSIT_INSECURE_HTTP",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) transit_insecure_http: bool,
}

impl Keeper {
    /// The keeper elsewhere of this name, as the options have it.
    pub(crate) fn remote(&self, provider: &str) -> Option<Remote> {
        match provider {
            Remote::AWS_KMS => Some(Remote::AwsKms(self.kms.named())),
            Remote::PKCS11 => Some(Remote::Pkcs11(self.pkcs11.named())),
            Remote::TRANSIT => Some(Remote::Transit(self.transit.named())),
            _ => None,
        }
    }
}

impl RootKeyKind {
    /// As instances name it.
    pub(crate) fn provider(self) -> &'static str {
        match self {
            Self::File => file::PROVIDER,
            Self::Passphrase => passphrase::PROVIDER,
            Self::AwsKms => Remote::AWS_KMS,
            Self::Pkcs11 => Remote::PKCS11,
            Self::Transit => Remote::TRANSIT,
        }
    }

    /// The one that an instance names so.
    pub(crate) fn of_provider(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|kind| kind.provider() == name)
    }

    /// What must be said at each start of such an instance, beside where it is.
    pub(crate) fn options(self) -> &'static str {
        match self {
            Self::File | Self::Passphrase => "",
            Self::AwsKms => " --kms-key …",
            Self::Pkcs11 => " --pkcs11-module … --pkcs11-pin-file …",
            Self::Transit => " --transit-url … --transit-token-file …",
        }
    }
}

impl KmsOptions {
    /// As the keys know them.
    pub(crate) fn named(&self) -> AwsKms {
        AwsKms { key: self.kms_key.clone() }
    }
}

impl Pkcs11Options {
    /// As the keys know them.
    pub(crate) fn named(&self) -> Pkcs11 {
        Pkcs11 {
            module: self.pkcs11_module.clone(),
            token: self.pkcs11_token.clone(),
            slot: self.pkcs11_slot,
            key: self.pkcs11_key.clone(),
            pin_file: self.pkcs11_pin_file.clone(),
        }
    }
}

impl TransitOptions {
    /// As the keys know them.
    pub(crate) fn named(&self) -> Transit {
        Transit {
            url: self.transit_url.clone(),
            insecure_http: self.transit_insecure_http,
            mount: self.transit_mount.clone(),
            namespace: self.transit_namespace.clone(),
            key: self.transit_key.clone(),
            token_file: self.transit_token_file.clone(),
            role_id: self.transit_role_id.clone(),
            secret_id_file: self.transit_secret_id_file.clone(),
            ca_file: self.transit_ca_file.clone(),
        }
    }
}
