//! The root key in AWS KMS. The master key crosses the wire within TLS, and the
//! instance's id with it as the encryption context. Credentials come from where
//! the SDK finds them, never from us.

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use serde::{Deserialize, Serialize};
use std::error::Error;
use strongroom_core::ids::InstanceId;
use strongroom_core::root_key::RootKey;
use zeroize::Zeroizing;

use crate::keeper::{
    DEADLINE, Keeper, RemoteRootKey, Subject, from_parameters, in_time, is_loopback, named, to_parameters,
};
use crate::kms_words::{id_of, meaning, region_of, shown};
use crate::remote::{AwsKms, KeeperError, Made, Remote, RemoteError, Trouble};

/// What the instance's id is called in the encryption context.
const CONTEXT: &str = "strongroom:instance";
const OPTION: &str = "--kms-key";

/// What the instance remembers.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    region: String,
    /// The ARN, also where an alias was given: an alias may lead elsewhere tomorrow.
    key: String,
}

struct Kms {
    client: Client,
    /// As whoever starts the server names it.
    key: String,
    subject: Subject,
}

pub(crate) async fn create(options: &AwsKms) -> Result<Made, RemoteError> {
    let key =
        named(options.key.as_deref(), Remote::AWS_KMS, OPTION, "give the key's ARN, or an alias of it")?;
    let mut kms = Kms::new(key, region_of(key)).await?;
    if id_of(key).is_none() {
        kms.key = in_time(&kms, kms.resolve()).await?;
        kms.subject = subject(&kms.key);
    }
    let region = region_of(&kms.key).unwrap_or_default().to_owned();
    let remembered = Remembered { region, key: kms.key.clone() };
    let parameters = to_parameters(&remembered)?;
    Ok(Made { key: Box::new(RemoteRootKey::new(kms, &remembered.key)), parameters, note: None })
}

pub(crate) async fn open(options: &AwsKms, parameters: &str) -> Result<Box<dyn RootKey>, RemoteError> {
    let remembered: Remembered = from_parameters(parameters)?;
    let remedy = format!("the instance was made with {OPTION} {}", remembered.key);
    let key = named(options.key.as_deref(), Remote::AWS_KMS, OPTION, remedy)?;
    if id_of(key).is_some_and(|id| Some(id) != id_of(&remembered.key)) {
        let detail = format!("the instance's is {}", remembered.key);
        return Err(subject(key).has(Trouble::WrongKey, detail, format!("name that with {OPTION}")).into());
    }
    let kms = Kms::new(key, region_of(key).or(Some(&remembered.region))).await?;
    Ok(Box::new(RemoteRootKey::new(kms, &remembered.key)))
}

fn subject(key: &str) -> Subject {
    Subject(format!("the root key {key} of AWS KMS"))
}

impl Kms {
    async fn new(key: &str, region: Option<&str>) -> Result<Self, RemoteError> {
        let nowhere = || RemoteError::Misnamed {
            provider: Remote::AWS_KMS,
            reason: format!("no region is known for {key}; give its ARN, or set AWS_REGION"),
        };
        let defaults = aws_config::defaults(BehaviorVersion::v2026_01_12());
        let defaults = match region {
            Some(region) => defaults.region(Region::new(region.to_owned())),
            None => defaults,
        };
        // Where nothing says the region, the machine's own metadata are asked.
        let found = tokio::time::timeout(DEADLINE, defaults.load()).await.map_err(|_| nowhere())?;
        if found.region().is_none() {
            return Err(nowhere());
        }
        let config = aws_sdk_kms::config::Builder::from(&found).interceptor(NeverInTheClear).build();
        Ok(Self { client: Client::from_conf(config), key: key.to_owned(), subject: subject(key) })
    }

    /// The ARN of the key that an alias leads to.
    async fn resolve(&self) -> Result<String, KeeperError> {
        let described = self.client.describe_key().key_id(&self.key).send().await;
        let described = described.map_err(|error| self.refused(&error, "kms:DescribeKey"))?;
        let arn = described.key_metadata.and_then(|key| key.arn);
        arn.ok_or_else(|| self.subject.has(Trouble::MissingKey, "it has no ARN", "name the key by its ARN"))
    }

    /// `right` is what the credentials must be allowed.
    fn refused<E>(&self, error: &SdkError<E>, right: &str) -> KeeperError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => match (answer.err().code(), answer.raw().status().as_u16()) {
                (Some(code), _) => self.answered(code, right),
                (None, 403) => self.answered("403", right),
                (None, _) => self.away("what answers is not AWS KMS"),
            },
            _ if has_cause::<CredentialsError>(error) => self.subject.has(
                Trouble::Denied,
                "there are no AWS credentials",
                "give the server some where the AWS SDK finds them: a role of the machine, a profile, variables",
            ),
            _ if has_cause::<InTheClear>(error) => self.subject.has(
                Trouble::Denied,
                "AWS_ENDPOINT_URL leads to another machine without TLS, which would show the master key",
                "give an address with https",
            ),
            SdkError::ResponseError(_) => self.away("what answers is not AWS KMS"),
            SdkError::TimeoutError(_) => self.away("no answer in time"),
            _ => self.away("no connection"),
        }
    }

    fn away(&self, detail: &str) -> KeeperError {
        self.subject.has(Trouble::Unreachable, detail, self.when_away())
    }

    /// By the code of an answer. The text beside it isn't repeated.
    fn answered(&self, code: &str, right: &str) -> KeeperError {
        let (trouble, why, remedy) = meaning(code);
        let remedy = match (remedy, trouble) {
            (Some(remedy), _) => remedy.to_owned(),
            (None, Trouble::Unreachable) => self.when_away(),
            (None, _) => format!("allow {right} on it to these credentials"),
        };
        self.subject.has(trouble, format!("{why} ({})", shown(code)), remedy)
    }
}

#[async_trait]
impl Keeper for Kms {
    const PROVIDER: &'static str = Remote::AWS_KMS;

    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn when_away(&self) -> String {
        "look at the network, the region and AWS_ENDPOINT_URL, then start again".to_owned()
    }

    async fn seal(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        _: [u8; 12],
    ) -> Result<Vec<u8>, KeeperError> {
        let encrypt = self.client.encrypt().key_id(&self.key);
        let encrypt = encrypt.encryption_context(CONTEXT, instance.to_string());
        let sealed = encrypt.plaintext(Blob::new(master.to_vec())).send().await;
        let sealed = sealed.map_err(|error| self.refused(&error, "kms:Encrypt"))?;
        let sealed = sealed.ciphertext_blob.ok_or_else(|| self.away("what answers is not AWS KMS"))?;
        Ok(sealed.into_inner())
    }

    async fn open(&self, instance: InstanceId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeeperError> {
        let decrypt = self.client.decrypt().key_id(&self.key);
        let decrypt = decrypt.encryption_context(CONTEXT, instance.to_string());
        let opened = decrypt.ciphertext_blob(Blob::new(sealed)).send().await;
        let opened = opened.map_err(|error| self.refused(&error, "kms:Decrypt"))?;
        let opened = opened.plaintext.ok_or_else(|| self.away("what answers is not AWS KMS"))?;
        Ok(Zeroizing::new(opened.into_inner()))
    }
}

/// Lets no request leave this machine without TLS.
#[derive(Debug)]
struct NeverInTheClear;

#[derive(Debug, thiserror::Error)]
#[error("no TLS")]
struct InTheClear;

impl Intercept for NeverInTheClear {
    fn name(&self) -> &'static str {
        "NeverInTheClear"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri: http::Uri = context.request().uri().parse()?;
        let here = uri.host().is_some_and(is_loopback);
        if here || uri.scheme_str() == Some("https") { Ok(()) } else { Err(InTheClear.into()) }
    }
}

fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<T>() {
            return true;
        }
        cause = error.source();
    }
    false
}
