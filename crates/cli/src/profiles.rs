//! Profiles: which server, and the API key for it, kept in a file that only
//! its owner can read. The file is replaced whole, so that a reader finds the
//! old one or the new one, and a crash leaves no half of a key.

use rustix::fs::{FlockOperation, OFlags, flock};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{OsRandom, random};
use uuid::Uuid;

use crate::data_dir::private;
use crate::environment::Environment;
use crate::failure::Failure;

/// The file's name in the directory of profiles.
const FILE: &str = "profiles.toml";
/// More than a thousand profiles need.
const MOST: u64 = 1 << 20;

/// What a profile is called: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProfileName(String);

impl ProfileName {
    /// Takes a name.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if plain && (1..=64).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 64 letters, digits, - and _")
        }
    }

    /// The one that was named, by an option or `STRONGROOM_PROFILE`; otherwise `default`.
    ///
    /// # Errors
    /// When the variable holds no such name.
    pub(crate) fn choose(option: Option<&Self>, environment: &Environment) -> Result<Self, Failure> {
        match (option, &environment.profile) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(text)) => {
                Self::parse(text).map_err(|reason| Failure::new(format!("STRONGROOM_PROFILE {reason}")))
            }
            (None, None) => Ok(Self("default".to_owned())),
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server, and who one is to it.
pub(crate) struct Profile {
    /// The server's URL.
    pub(crate) url: String,
    /// The API key for that server, and for no other.
    pub(crate) api_key: Token,
    /// The key's team.
    pub(crate) team_id: Option<Uuid>,
    /// Whether the key may go to that server over plain HTTP.
    pub(crate) insecure_http: bool,
}

/// The profiles of whoever runs the command.
pub(crate) struct Profiles {
    directory: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads them; where there is no file there are none.
    ///
    /// # Errors
    /// When others could read or change the file, or it is no list of profiles.
    pub(crate) fn read(environment: &Environment) -> Result<Self, Failure> {
        let home = environment.config_home.as_ref().ok_or_else(|| {
            Failure::new("there is no place for profiles: neither XDG_CONFIG_HOME nor HOME is set")
                .hint("set HOME, or give STRONGROOM_URL and STRONGROOM_API_KEY instead of a profile")
        })?;
        let directory = home.join("strongroom");
        let profiles = load(&directory)?;
        Ok(Self { directory, profiles })
    }

    /// The profile of this name.
    pub(crate) fn find(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.get(&name.0)
    }

    /// Takes the profile of this name out.
    pub(crate) fn take(mut self, name: &ProfileName) -> Option<Profile> {
        self.profiles.remove(&name.0)
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.profiles.keys().map(String::as_str).collect()
    }

    /// Where they are kept.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }
}

/// The right to change the profiles, held by one process at a time.
pub(crate) struct Editing {
    profiles: Profiles,
    // Held for its lock until it is dropped.
    _directory: File,
}

impl Editing {
    /// Waits for others who are changing them, and reads them anew. Whoever has
    /// this can store a profile unless the disk fails.
    ///
    /// # Errors
    /// When the directory can't be made, is lax, or the file can't be read.
    pub(crate) fn begin(environment: &Environment) -> Result<Self, Failure> {
        let directory = Profiles::read(environment)?.directory;
        let failed = |error| Failure::because(format!("{} can't be used", directory.display()), &error);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let locked = File::open(&directory).map_err(failed)?;
        flock(&locked, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        probe(&directory)?;
        Ok(Self { profiles: Profiles::read(environment)?, _directory: locked })
    }

    /// Stores a profile in the place of one with the same name.
    ///
    /// # Errors
    /// When the disk refuses; then all is as it was.
    pub(crate) fn store(mut self, name: &ProfileName, profile: Profile) -> Result<(), Failure> {
        self.profiles.profiles.insert(name.0.clone(), profile);
        self.save()
    }

    /// Forgets a profile; false when there is none of the name.
    ///
    /// # Errors
    /// When the disk refuses; then all is as it was.
    pub(crate) fn remove(mut self, name: &ProfileName) -> Result<bool, Failure> {
        if self.profiles.profiles.remove(&name.0).is_none() {
            return Ok(false);
        }
        self.save().map(|()| true)
    }

    fn save(&self) -> Result<(), Failure> {
        let path = self.profiles.path();
        let temporary = temporary(&self.profiles.directory);
        let text = rendered(&self.profiles.profiles);
        let saved = create(&temporary)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| File::open(&self.profiles.directory)?.sync_all());
        saved.map_err(|error| {
            let _absent = fs::remove_file(&temporary);
            Failure::because(format!("{} can't be written", path.display()), &error)
        })
    }
}

/// Makes and removes a file, so that a full or read-only disk is found before
/// anything depends on it.
fn probe(directory: &Path) -> Result<(), Failure> {
    let path = temporary(directory);
    create(&path)
        .and_then(|_| fs::remove_file(&path))
        .map_err(|error| Failure::because(format!("no file can be made in {}", directory.display()), &error))
}

fn temporary(directory: &Path) -> PathBuf {
    let chance = u64::from_be_bytes(random::bytes(&OsRandom));
    directory.join(format!(".{FILE}.{chance:016x}"))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn load(directory: &Path) -> Result<BTreeMap<String, Profile>, Failure> {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::symlink_metadata(directory) {
        Err(error) if absent(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(directory, &error)),
        Ok(metadata) => private(directory, &metadata, 0o700)?,
    }
    let path = directory.join(FILE);
    match fs::symlink_metadata(&path) {
        Err(error) if absent(&error) => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(&path, &error)),
        Ok(metadata) => private(&path, &metadata, 0o600)?,
    }
    let text = contents(&path).map_err(|error| unreadable(&path, &error))?;
    parse(&path, &text)
}

/// What the file holds; it is opened without following a link that has taken
/// its place since it was looked at.
fn contents(path: &Path) -> io::Result<String> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("{} can't be read", path.display()), error)
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Profile>, Failure> {
    // The parser's own words may quote the file, and with it a key.
    let broken = || {
        Failure::new(format!("{} is no list of profiles", path.display()))
            .hint("log in again after moving it away")
    };
    let table = text.parse::<toml::Table>().map_err(|_| broken())?;
    let profile = |(name, value): (&String, &toml::Value)| {
        let known = ProfileName::parse(name).is_ok();
        let profile = value.as_table().filter(|_| known).and_then(profile);
        profile.map(|profile| (name.clone(), profile)).ok_or_else(broken)
    };
    table.iter().map(profile).collect()
}

fn profile(table: &toml::Table) -> Option<Profile> {
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    let team_id = match text("team_id") {
        Some(id) => Some(Uuid::parse_str(id).ok()?),
        None => None,
    };
    Some(Profile {
        url: text("url")?.to_owned(),
        api_key: Token::parse(TokenKind::ApiKey, text("api_key")?).ok()?,
        team_id,
        insecure_http: table.get("insecure_http").and_then(toml::Value::as_bool).unwrap_or(false),
    })
}

fn rendered(profiles: &BTreeMap<String, Profile>) -> String {
    let mut root = toml::Table::new();
    for (name, profile) in profiles {
        let mut table = toml::Table::new();
        table.insert("url".to_owned(), profile.url.clone().into());
        table.insert("api_key".to_owned(), profile.api_key.reveal().into());
        if let Some(team) = profile.team_id {
            table.insert("team_id".to_owned(), team.to_string().into());
        }
        if profile.insecure_http {
            table.insert("insecure_http".to_owned(), true.into());
        }
        root.insert(name.clone(), table.into());
    }
    format!("# Written by `strongroom login`. It holds API keys: keep it closed to others.\n\n{root}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(url: &str) -> Profile {
        Profile {
            url: url.to_owned(),
            api_key: Token::mint(TokenKind::ApiKey, Uuid::from_u128(7), &OsRandom),
            team_id: Some(Uuid::from_u128(9)),
            insecure_http: url.starts_with("http:"),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let profiles: BTreeMap<_, _> =
            [("default", "https://a.example"), ("b-2", "http://10.0.0.1:8700/sub")]
                .into_iter()
                .map(|(name, url)| (name.to_owned(), profile(url)))
                .collect();
        let read = parse(Path::new("p"), &rendered(&profiles)).unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!(read.len(), 2);
        for (name, profile) in &profiles {
            let again = &read[name];
            assert_eq!((&again.url, again.team_id), (&profile.url, profile.team_id));
            assert_eq!(again.api_key.reveal(), profile.api_key.reveal());
            assert_eq!(again.insecure_http, profile.insecure_http);
        }
    }

    #[test]
    fn a_broken_file_is_refused_without_a_word_of_it() {
        let key = profile("x").api_key;
        for text in [
            format!("[default\napi_key = \"{}\"", key.reveal()),
            format!("[default]\napi_key = \"{}\"", key.reveal()),
            format!("[default]\nurl = \"https://a\"\napi_key = \"{}x\"", key.reveal()),
            format!("[\"a b\"]\nurl = \"https://a\"\napi_key = \"{}\"", key.reveal()),
            "url = 1".to_owned(),
        ] {
            let Err(failure) = parse(Path::new("p"), &text) else { panic!("taken: {text}") };
            assert!(!format!("{failure:?}").contains("srk_"), "{failure:?}");
        }
    }

    #[test]
    fn names() {
        assert!(ProfileName::parse("work-2_b").is_ok());
        for bad in ["", "a b", "a.b", "../x", "é", &"a".repeat(65)] {
            assert!(ProfileName::parse(bad).is_err(), "{bad}");
        }
    }
}
