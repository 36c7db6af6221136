//! The configuration file: `strongroom.toml`, whose keys are the names of the
//! command line's options. Its values become the defaults of the command line,
//! so that a flag wins over a variable and a variable over the file, and no
//! knob is declared a second time.

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use strongroom_core::tokens::TokenKind;

use crate::cli::Cli;
use crate::failure::Failure;

/// The file's name where it isn't given: beside the database.
pub(crate) const FILE_NAME: &str = "strongroom.toml";

/// Options that have no key in the file, each with its reason.
pub(crate) const WITHOUT_KEY: [(&str, &str); 10] = [
    ("config", "names the file itself"),
    ("json", "belongs to one invocation"),
    ("out", "belongs to one invocation"),
    ("force", "belongs to one invocation"),
    ("identity", "belongs to one invocation"),
    ("key", "belongs to one invocation"),
    ("new_root_key", "belongs to one invocation"),
    ("start_over", "belongs to one invocation"),
    ("help", "belongs to one invocation"),
    ("version", "belongs to one invocation"),
];

/// Why there is no configuration to run with.
pub(crate) enum Refused {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The file is wrong.
    File(Failure),
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::File(failure)
    }
}

/// Reads the command line, the variables, and the file that they name.
///
/// # Errors
/// When one of them is wrong; the message says which.
pub(crate) fn read(args: Vec<OsString>) -> Result<Cli, Refused> {
    let first = Cli::command().try_get_matches_from(&args).map_err(without_values)?;
    let Some(file) = File::find(&first)? else { return Ok(Cli::from_arg_matches(&first)?) };
    let command = file.become_defaults(Cli::command())?;
    Ok(Cli::from_arg_matches(&command.try_get_matches_from(args)?)?)
}

/// The error without what may be a value or a key: an argument that isn't known
/// is named up to its `=`, and at all only when it looks like an option.
fn without_values(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::TooManyValues {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
        return error;
    }
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(text)) = error.get(kind) {
            let shown = unquoted(text, kind == ContextKind::InvalidArg);
            error.insert(kind, ContextValue::String(shown));
        }
    }
    error
}

fn unquoted(text: &str, is_argument: bool) -> String {
    // An option, and behind it our own name for its value.
    if let Some((option, _)) = text.split_once(" <")
        && is_argument
        && option.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    {
        return option.to_owned();
    }
    let (name, rest) = text.split_once('=').map_or((text, ""), |(name, _)| (name, "=…"));
    let known_shape = !is_argument || name.starts_with('-') || name.starts_with('<');
    if known_shape && !TokenKind::ALL.iter().any(|kind| name.contains(kind.prefix())) {
        format!("{name}{rest}")
    } else {
        format!("…{rest}")
    }
}

/// Whether a command reads the file: the file configures servers, so those that
/// open an instance do. Commands that speak to a server have profiles instead.
fn reads_the_file(command: &clap::Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "config")
}

/// The commands that read the file, with their names. Of a group, those that open an instance
/// or may open one.
pub(crate) fn readers(root: &clap::Command) -> impl Iterator<Item = (String, &clap::Command)> {
    let mut found: Vec<_> =
        root.get_subcommands().map(|command| (command.get_name().to_owned(), command)).collect();
    let mut seen = 0;
    while let Some((name, command)) = found.get(seen).cloned() {
        found.extend(command.get_subcommands().map(|sub| (format!("{name} {}", sub.get_name()), sub)));
        seen += 1;
    }
    found.into_iter().filter(|(_, command)| reads_the_file(command))
}

/// What can be set in the file as well: what has a variable, but for the file's own name.
pub(crate) fn is_knob(arg: &Arg) -> bool {
    arg.get_env().is_some() && WITHOUT_KEY.iter().all(|(id, _)| arg.get_id() != id)
}

/// Every knob of every command that reads the file, by its key. A knob of
/// several commands is declared in one place, so any of its appearances will do.
pub(crate) fn knobs(command: &clap::Command) -> BTreeMap<String, Arg> {
    readers(command)
        .flat_map(|(_, command)| command.get_arguments())
        .filter(|arg| is_knob(arg))
        .map(|arg| (arg.get_id().to_string(), arg.clone()))
        .collect()
}

/// The command, and those below it, with these defaults for their knobs.
fn with_defaults(command: clap::Command, values: &BTreeMap<&str, String>) -> clap::Command {
    let command = if reads_the_file(&command) {
        command.mut_args(|arg| match values.get(arg.get_id().as_str()).filter(|_| is_knob(&arg)) {
            Some(value) => arg.default_value(value.clone()),
            None => arg,
        })
    } else {
        command
    };
    command.mut_subcommands(|command| with_defaults(command, values))
}

/// Whether there is a configuration at this path that sets this key.
pub(crate) fn sets(path: &Path, key: &str) -> bool {
    File::open(path).is_ok_and(|file| file.table.contains_key(key))
}

/// A configuration file that was found.
struct File {
    path: PathBuf,
    table: toml::Table,
}

impl File {
    /// The file that the command line names, or the one in the data directory.
    fn find(matches: &ArgMatches) -> Result<Option<Self>, Failure> {
        let Some((_, mut matches)) = matches.subcommand() else { return Ok(None) };
        while let Some((_, deeper)) = matches.subcommand() {
            matches = deeper;
        }
        let Ok(named) = matches.try_get_one::<PathBuf>("config") else { return Ok(None) };
        // A command that opens an instance only when it is told to has no directory otherwise.
        let Ok(Some(directory)) = matches.try_get_one::<PathBuf>("data_dir") else { return Ok(None) };
        if let Some(path) = named {
            return Self::open(path).map(Some);
        }
        let path = directory.join(FILE_NAME);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                let closed =
                    Failure::because(format!("{} can't be looked into", directory.display()), &error);
                return Err(closed.hint(match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "run this as the user whom the data directory belongs to, or name another with --data-dir"
                    }
                    _ => "name another with --data-dir",
                }));
            }
        }
        let file = Self::open(&path)?;
        match file.table.get("data_dir") {
            None => Ok(Some(file)),
            Some(_) => Err(file
                .refuse("data_dir", "can't be set in a file that was found in the data directory")
                .hint("remove the key, or name the file with --config")),
        }
    }

    fn open(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::because(format!("the configuration file {} can't be read", path.display()), &error)
        })?;
        let table = text.parse::<toml::Table>().map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            Failure::new(format!("{}, line {line}: not valid TOML: {}", path.display(), error.message()))
        })?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// Makes the file's values the defaults of every command that knows them.
    fn become_defaults(&self, command: clap::Command) -> Result<clap::Command, Failure> {
        let knobs = knobs(&command);
        let mut values = BTreeMap::new();
        for (key, value) in &self.table {
            let knob = knobs.get(key).ok_or_else(|| self.unknown(key, &knobs))?;
            values.insert(key.as_str(), self.checked(key, value, knob)?);
        }
        Ok(with_defaults(command, &values))
    }

    /// The value as the command line would have it, if the knob takes it.
    fn checked(&self, key: &str, value: &toml::Value, knob: &Arg) -> Result<String, Failure> {
        let expected = Kind::of(knob.get_value_parser());
        let text = match (expected, value) {
            (Kind::Text, toml::Value::String(text)) => text.clone(),
            (Kind::Number, toml::Value::Integer(number)) => number.to_string(),
            (Kind::Switch, toml::Value::Boolean(switch)) => switch.to_string(),
            _ => {
                return Err(self
                    .refuse(key, &format!("must be {}, not a TOML {}", expected.words(), value.type_str())));
            }
        };
        let alone = clap::Command::new("file")
            .no_binary_name(true)
            .arg(knob.clone().env(None::<&str>).default_value(text.clone()));
        match alone.try_get_matches_from([""; 0]) {
            Ok(_) => Ok(text),
            Err(error) => Err(self.refuse(key, &reason(&error, knob))),
        }
    }

    fn unknown(&self, key: &str, knobs: &BTreeMap<String, Arg>) -> Failure {
        let failure = Failure::new(format!("{}: unknown key `{key}`", self.path.display()));
        let distance = |known: &&String| strsim::osa_distance(known, key);
        match knobs.keys().min_by_key(distance) {
            Some(near) if strsim::osa_distance(near, key) <= 3 => {
                failure.hint(format!("did you mean `{near}`?"))
            }
            _ => {
                failure.hint(format!("the keys are {}", knobs.keys().cloned().collect::<Vec<_>>().join(", ")))
            }
        }
    }

    fn refuse(&self, key: &str, reason: &str) -> Failure {
        Failure::new(format!("{}: `{key}` {reason}", self.path.display()))
    }
}

/// What kind of TOML value a knob takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Switch,
}

impl Kind {
    /// By the type that the option parses to.
    pub(crate) fn of(parser: &ValueParser) -> Self {
        let is = |id: TypeId| parser.type_id() == id;
        if is(TypeId::of::<bool>()) {
            Self::Switch
        } else if [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()]
            .into_iter()
            .any(is)
        {
            Self::Number
        } else {
            Self::Text
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "an integer",
            Self::Switch => "true or false",
        }
    }
}

/// Why the option didn't take a value, without quoting it.
fn reason(error: &clap::Error, knob: &Arg) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    let possible: Vec<_> =
        knob.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if possible.is_empty() {
        "has a value that can't be used".to_owned()
    } else {
        format!("must be one of {}", possible.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::audit::KeySource;

    /// Options that have no variable either.
    const WITHOUT_VARIABLE: [&str; 9] =
        ["json", "out", "force", "identity", "key", "new_root_key", "start_over", "help", "version"];

    fn serve(args: &[&str]) -> crate::cli::Serve {
        let args = ["strongroom", "serve"].iter().chain(args).map(OsString::from).collect();
        match read(args) {
            Ok(Cli { command: Command::Serve(serve) }) => serve,
            Ok(_) => panic!("another command"),
            Err(Refused::Usage(error)) => panic!("{error}"),
            Err(Refused::File(failure)) => panic!("{failure:?}"),
        }
    }

    fn refused(contents: &str) -> (String, String) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s.toml");
        std::fs::write(&path, contents).unwrap();
        let args = ["strongroom", "serve", "--config"].map(OsString::from).into_iter().chain([path.into()]);
        match read(args.collect()) {
            Err(Refused::File(failure)) => {
                (failure.message().to_owned(), failure.remedy().unwrap_or_default().to_owned())
            }
            Err(Refused::Usage(error)) => panic!("{error}"),
            Ok(_) => panic!("accepted: {contents}"),
        }
    }

    #[test]
    fn every_option_has_a_variable_and_a_key_of_its_name() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| reads_the_file(sub)) {
            for arg in sub.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let id = arg.get_id().as_str();
                assert_eq!(arg.get_long().unwrap(), id.replace('_', "-"));
                let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
                let expected = format!("STRONGROOM_{}", id.to_uppercase());
                let expected = (!WITHOUT_VARIABLE.contains(&id)).then_some(expected);
                assert_eq!(variable, expected, "{}: --{id}", sub.get_name());
                let keyless = WITHOUT_KEY.iter().any(|(name, _)| *name == id);
                assert_ne!(knobs(&command).contains_key(id), keyless, "{}: --{id}", sub.get_name());
            }
        }
        let knobs = readers(&command).flat_map(|(_, sub)| sub.get_arguments()).filter(|arg| is_knob(arg));
        for arg in knobs {
            let id = arg.get_id().as_str();
            let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(arg.get_long().unwrap(), id.replace('_', "-"));
            assert_eq!(variable, Some(format!("STRONGROOM_{}", id.to_uppercase())));
        }
    }

    #[test]
    fn a_knob_of_several_commands_is_the_same_in_each() {
        let command = Cli::command();
        for (key, knob) in knobs(&command) {
            for (_, sub) in readers(&command) {
                let same = |arg: &&Arg| is_knob(arg) && arg.get_id() == key.as_str();
                for arg in sub.get_arguments().filter(same) {
                    assert_eq!(
                        arg.get_help().map(ToString::to_string),
                        knob.get_help().map(ToString::to_string)
                    );
                    assert_eq!(arg.get_default_values(), knob.get_default_values());
                }
            }
        }
    }

    #[test]
    fn commands_that_speak_to_a_server_have_neither_keys_nor_variables_of_options() {
        let mut command = Cli::command();
        command.build();
        let mut clients = 0;
        let groups = command.get_subcommands().filter(|sub| !reads_the_file(sub));
        for sub in groups.flat_map(|sub| sub.get_subcommands().chain([sub])) {
            clients += usize::from(sub.get_arguments().any(|arg| arg.get_id() == "url"));
            // Those that may open an instance have its knobs, too.
            let knobs = reads_the_file(sub);
            for arg in sub.get_arguments().filter(|arg| !knobs || arg.get_env().is_none()) {
                assert_eq!(arg.get_env(), None, "{}: {}", sub.get_name(), arg.get_id());
                let id = arg.get_id().as_str();
                let is = |id: TypeId| arg.get_value_parser().type_id() == id;
                let is_public = is(TypeId::of::<uuid::Uuid>()) || is(TypeId::of::<KeySource>());
                // A file or a keeper's key is named, and what it is isn't said here.
                let is_name =
                    is(TypeId::of::<PathBuf>()) || arg.get_help_heading() == Some("The new root key");
                let no_key = id.contains("stdin") || id == "idempotency_key" || is_public || is_name;
                assert!(!id.contains("key") || no_key, "{id}");
            }
        }
        assert!(clients > 25, "{clients}");
    }

    #[test]
    fn other_mistakes_on_the_command_line_are_shown() {
        for (args, shown) in [
            (&["secrets", "lisst"][..], "'lisst'"),
            (&["secrets", "list", "--serch", "x"], "'--serch'"),
            (&["secrets", "get", "mail"], "'mail'"),
        ] {
            let args = ["strongroom"].iter().chain(args).map(OsString::from).collect();
            let Err(Refused::Usage(error)) = read(args) else { panic!("accepted") };
            assert!(error.to_string().contains(shown), "{error}");
        }
    }

    #[test]
    fn mistakes_on_the_command_line_show_no_values() {
        for args in [
            &["secrets", "create", "--name", "x", "KEY=hunter2"][..],
            &["secrets", "create", "--name", "x", "--value", "KEY", "hunter2"],
            &["secrets", "create", "--api-key=hunter2"],
            &["secrets", "create", "--api-key", "hunter2"],
            &["secrets", "create", "--shared=hunter2", "--name", "x"],
            &["secrets", "get", "srk_hunter2"],
            &["secrets", "get", "KEY=hunter2"],
            &["login", "srl_hunter2"],
            &["secrets", "srk_hunter2"],
            &["srk_hunter2"],
            &["login", "--api-key-stdin=hunter2"],
            &["secrets", "create", "--KEY=hunter2 <x>"],
        ] {
            let args = ["strongroom"].iter().chain(args).map(OsString::from).collect();
            let Err(Refused::Usage(error)) = read(args) else { panic!("accepted") };
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(error.use_stderr());
        }
    }

    #[test]
    fn an_option_without_its_value_is_named() {
        let args = ["strongroom", "secrets", "create", "--name", "x", "--value"].map(OsString::from);
        let Err(Refused::Usage(error)) = read(args.to_vec()) else { panic!("accepted") };
        assert!(error.to_string().contains("for '--value' but none"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().to_str().unwrap();
        let file = "listen = \"127.0.0.1:1\"\ninsecure_http = true\nworkers = 3\nteam = \"Not for serve\"\n";
        std::fs::write(place.path().join(FILE_NAME), file).unwrap();
        let read = serve(&["--data-dir", directory]);
        assert_eq!(read.listening.address.listen.port(), 1);
        assert!(read.listening.insecure_http);
        assert_eq!(read.listening.workers, Some(3));
        assert_eq!(read.logging.log, "info");
        let read = serve(&["--data-dir", directory, "--listen", "127.0.0.1:2", "--insecure-http=false"]);
        assert_eq!(read.listening.address.listen.port(), 2);
        assert!(!read.listening.insecure_http);
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        for (contents, message, remedy) in [
            ("lisen = \"127.0.0.1:1\"", "unknown key `lisen`", "did you mean `listen`?"),
            ("zzzzzzzzzzzz = 1", "unknown key `zzzzzzzzzzzz`", "the keys are audit_file, audit_file_keep, "),
            ("json = true", "unknown key `json`", ""),
            ("listen = 8700", "`listen` must be a string, not a TOML integer", ""),
            ("insecure_http = \"yes\"", "`insecure_http` must be true or false, not a TOML string", ""),
            ("workers = \"3\"", "`workers` must be an integer, not a TOML string", ""),
            ("workers = 0", "`workers` 0 is not in 1..=65535", ""),
            ("listen = \"localhost\"", "`listen` must be an IP address and a port", ""),
            ("log_format = \"xml\"", "`log_format` must be one of text, json", ""),
            ("log = \"a=b=c\"", "`log` must be error, warn,", ""),
            ("a = 1\nb = ", "line 2: not valid TOML", ""),
            ("[net]\nlisten = \"127.0.0.1:1\"", "unknown key `net`", ""),
        ] {
            let (said, hint) = refused(contents);
            assert!(said.contains("s.toml") && said.contains(message), "{contents:?}: {said}");
            assert!(hint.contains(remedy), "{contents:?}: {hint}");
        }
    }

    #[test]
    fn a_file_in_the_data_directory_cannot_name_another_one() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(FILE_NAME), "data_dir = \"/elsewhere\"").unwrap();
        let args = ["strongroom", "serve", "--data-dir", place.path().to_str().unwrap()];
        let Err(Refused::File(failure)) = read(args.map(OsString::from).to_vec()) else { panic!("accepted") };
        assert!(failure.message().contains("`data_dir` can't be set"));
    }
}
