//! The reference pages of the command line and the configuration, made from
//! the command line itself. They are kept in the repository; a test fails when
//! they are stale.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use std::any::TypeId;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use strongroom_net::TrustedProxies;

use crate::cli::Cli;
use crate::config::{self, FILE_NAME, Kind};
use crate::failure::{Exit, Failure};
use crate::public_url::PublicUrl;

/// What brings the pages up to date, from the root of the repository.
const REFRESH: &str = "cargo run -p strongroom-cli -- reference docs/reference";

/// Writes both pages into a folder.
///
/// # Errors
/// When they can't be written.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    for (name, page) in pages() {
        let path = folder.join(name);
        fs::write(&path, page)
            .map_err(|error| Failure::because(format!("{} can't be written", path.display()), &error))?;
    }
    Ok(())
}

fn pages() -> [(&'static str, String); 2] {
    let mut command = Cli::command();
    command.build();
    [("cli.md", command_line(&command)), ("configuration.md", configuration(&command))]
}

fn command_line(root: &Command) -> String {
    let mut page =
        format!("# Commands\n\n<!-- Made by `{REFRESH}`; edit crates/cli/src/cli.rs instead. -->\n\n");
    page += &one_line(root.get_about());
    page += "\n\nThe options of the commands that open an instance (`dev`, `init`, `serve`, `doctor`, `backup`, `restore`, and others) can also be set by a variable or in a file: see [configuration](configuration.md).\n";
    page += "Errors go to standard error as `error: what happened`, with a line `hint: what to do next`.\n\n";
    page += "| exit code | meaning |\n|---|---|\n";
    for (code, meaning) in Exit::TABLE {
        let _infallible = writeln!(page, "| {code} | {meaning} |");
    }
    for command in shown(root) {
        page += &tree(command, &format!("strongroom {}", command.get_name()), "##");
    }
    SAID_ONCE.iter().fold(page, |page, group| page + &group.options(root))
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

/// A command, and those below it.
fn tree(command: &Command, name: &str, level: &str) -> String {
    let has_its_own = command.get_arguments().any(|arg| arg.get_id() != "help");
    let text = match command.get_after_help() {
        _ if has_its_own || !command.has_subcommands() => section(command, name),
        Some(after) => {
            format!("\n## {name}\n\n{}\n{}", one_line(command.get_about()), examples(&after.to_string()))
        }
        None => format!("\n## {name}\n\n{}\n", one_line(command.get_about())),
    };
    let text = text.replacen("\n## ", &format!("\n{level} "), 1);
    shown(command).fold(text, |text, sub| text + &tree(sub, &format!("{name} {}", sub.get_name()), "###"))
}

/// Options that many commands have, and that are said once.
struct SaidOnce {
    /// Under which of clap's headings they are.
    heading: &'static str,
    title: &'static str,
    about: &'static str,
    /// Whether commands have some of them, and name which.
    some: bool,
}

const SAID_ONCE: [SaidOnce; 3] = [
    SaidOnce {
        heading: "Root key",
        title: "Root key options",
        some: false,
        about: "
The commands that open an instance find its root key by these: see [root keys elsewhere](../guides/root-keys.md).
",
    },
    SaidOnce {
        heading: "Broker",
        title: "Broker options",
        some: false,
        about: "
The servers have these for the broker, through which runs use secrets without having them: see [the broker](../guides/broker.md).
",
    },
    SaidOnce {
        heading: "Connection",
        title: "Connection options",
        some: true,
        about: "
The commands that speak to a server know it, and the API key for it, from these, the first that says so: an option;
the variables `STRONGROOM_URL` and `STRONGROOM_API_KEY`; the profile that `strongroom login` stored, chosen with
`--profile` or `STRONGROOM_PROFILE`. A profile named with `--profile` wins over the variables. Where nothing names a
server it is `http://127.0.0.1:8700`. The key of a profile is sent to the server of that profile only, and no key over
plain HTTP to another machine.

`strongroom.toml` is read by servers only: none of these options has a key in it. An API key is never an option.
",
    },
];

impl SaidOnce {
    fn of<'a>(&self, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
        let heading = self.heading;
        command.get_arguments().filter(move |arg| arg.get_help_heading() == Some(heading))
    }

    /// Which of them a command has.
    fn named(&self, command: &Command) -> String {
        let named = self.of(command).map(spelling).collect::<Vec<_>>().join(", ");
        let anchor = self.title.to_lowercase().replace(' ', "-");
        match named.as_str() {
            "" => String::new(),
            _ if !self.some => format!("- [{}](#{anchor}).\n", self.title),
            named => format!("- {named}: see [{}](#{anchor}).\n", self.title.to_lowercase()),
        }
    }

    /// All of them.
    fn options(&self, root: &Command) -> String {
        let mut text = format!("\n## {}\n{}\n", self.title, self.about);
        let most = shown(root).max_by_key(|command| self.of(command).count());
        for arg in most.into_iter().flat_map(|command| self.of(command)) {
            let _infallible = writeln!(text, "- {}: {}{}", spelling(arg), words(arg), footnotes(arg));
        }
        text
    }
}

fn is_said_once(arg: &Arg) -> bool {
    SAID_ONCE.iter().any(|group| arg.get_help_heading() == Some(group.heading))
}

fn section(command: &Command, name: &str) -> String {
    let mut text = format!("\n## {name}\n\n{}\n", one_line(command.get_about()));
    let usage = command.clone().render_usage().to_string();
    let _infallible = write!(text, "\n```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
    for arg in command.get_arguments().filter(|arg| arg.get_id() != "help" && !is_said_once(arg)) {
        let _infallible = writeln!(text, "- {}: {}{}", spelling(arg), words(arg), footnotes(arg));
    }
    for group in &SAID_ONCE {
        text += &group.named(command);
    }
    if let Some(after) = command.get_after_help() {
        text += &examples(&after.to_string());
    }
    text
}

/// The example block and the sentences after it.
fn examples(after: &str) -> String {
    let (commands, rest): (Vec<_>, Vec<_>) = after
        .lines()
        .filter(|line| !line.ends_with("xample:") && !line.ends_with("xamples:"))
        .partition(|line| line.starts_with("  "));
    let commands: Vec<_> = commands.into_iter().map(str::trim_start).collect();
    let rest = rest.join("\n");
    let rest = rest.trim();
    let rest = if rest.is_empty() { String::new() } else { format!("\n{rest}\n") };
    format!("\n```sh\n{}\n```\n{rest}", commands.join("\n"))
}

fn spelling(arg: &Arg) -> String {
    let value = value_name(arg);
    match arg.get_long() {
        None => format!("`<{value}>`"),
        Some(long) if Kind::of(arg.get_value_parser()) == Kind::Switch => {
            let short = arg.get_short().map(|short| format!(", `-{short}`")).unwrap_or_default();
            format!("`--{long}`{short}")
        }
        Some(long) => format!("`--{long} <{value}>`"),
    }
}

fn value_name(arg: &Arg) -> String {
    let name = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
    name.unwrap_or_else(|| arg.get_id().to_string().to_uppercase())
}

/// The option's help as one paragraph, its choices, its default.
fn words(arg: &Arg) -> String {
    let help = one_line(arg.get_help());
    let choices: Vec<_> = choices(arg).iter().map(|choice| format!("`{choice}`")).collect();
    let choices = if choices.is_empty() { String::new() } else { format!(" One of {}.", choices.join(", ")) };
    format!("{help}{choices}")
}

fn choices(arg: &Arg) -> Vec<String> {
    if Kind::of(arg.get_value_parser()) == Kind::Switch {
        return Vec::new();
    }
    arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

fn footnotes(arg: &Arg) -> String {
    let default = default(arg).map(|default| format!(" Default `{default}`.")).unwrap_or_default();
    let variable = variable(arg).map(|name| format!(" Variable `{name}`.")).unwrap_or_default();
    format!("{default}{variable}")
}

fn default(arg: &Arg) -> Option<String> {
    let takes_value = arg.get_action().takes_values();
    arg.get_default_values().first().filter(|_| takes_value).map(|value| value.to_string_lossy().into_owned())
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

/// Where a default is made of words, the help says them as clap says the
/// others: `[default: words]`. Here they become a sentence.
fn one_line(text: Option<&StyledStr>) -> String {
    match split_default(text) {
        (help, Some(default)) => format!("{help}. Default: {default}."),
        (help, None) if help.ends_with('.') => help,
        (help, None) => format!("{help}."),
    }
}

fn default_in_words(arg: &Arg) -> String {
    split_default(arg.get_help()).1.unwrap_or_default()
}

fn split_default(text: Option<&StyledStr>) -> (String, Option<String>) {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.strip_suffix(']').and_then(|text| text.split_once(" [default: ")) {
        Some((help, default)) => (help.to_owned(), Some(default.to_owned())),
        None => (text, None),
    }
}

fn configuration(root: &Command) -> String {
    let knobs = config::knobs(root);
    let mut page =
        format!("# Configuration\n\n<!-- Made by `{REFRESH}`; edit crates/cli/src/cli.rs instead. -->\n");
    page += INTRODUCTION;
    page += "\n| key in the file | variable | commands | default |\n|---|---|---|---|\n";
    for (key, arg) in &knobs {
        let default = default(arg).map_or_else(|| default_in_words(arg), |default| format!("`{default}`"));
        let users: Vec<_> = users(root, key).map(|name| format!("`{name}`")).collect();
        let variable = variable(arg).unwrap_or_default();
        let _infallible = writeln!(page, "| `{key}` | `{variable}` | {} | {default} |", users.join(" "));
    }
    let _infallible = write!(
        page,
        "\n## A sample {FILE_NAME}\n\nEvery key, with its default; what has none is shown with an example.\n\n```toml\n{}```\n",
        sample(root)
    );
    page
}

const INTRODUCTION: &str = "
Everything that can be set can be set in three ways, and is called the same in each: the option
`--data-dir`, the variable `STRONGROOM_DATA_DIR`, the key `data_dir` in a file. The command line wins over
a variable, a variable over the file, the file over the default.

The file is the one that `--config` or `STRONGROOM_CONFIG` names, otherwise `strongroom.toml` in the data
directory, if there is one. A key that isn't known, or a value of the wrong type, is an error: a knob that
was misspelled never stays at its default unseen. One file serves all commands; each takes the keys that it
knows. Relative paths start at the directory in which the command is run. No key, and no variable of an
option, holds a secret: they name files that do.

These belong to one invocation and have no key: `--json`, `--help`, `--version`, and what a backup is
made of and restored with (`--out`, `--force`, `--identity`, `--key`, `--new-root-key`, `--start-over`);
and `--config` itself, which has the variable only. The file configures servers: commands that speak to one have profiles instead, see
[the command line](cli.md#connection-options).
";

fn users<'a>(root: &'a Command, key: &'a str) -> impl Iterator<Item = String> {
    let has = move |arg: &Arg| config::is_knob(arg) && arg.get_id() == key;
    let readers = config::readers(root).filter(move |(_, command)| command.get_arguments().any(has));
    readers.map(|(name, _)| name)
}

/// A file with every key commented out, in the order of the command line.
fn sample(root: &Command) -> String {
    let knobs = config::knobs(root);
    let mut text = String::new();
    for (key, arg) in in_order(root, &knobs) {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in wrapped(&words(arg)) {
            let _infallible = writeln!(text, "# {line}");
        }
        let _infallible = writeln!(text, "# {key} = {}", example(key, arg));
    }
    text
}

fn in_order<'a>(
    root: &'a Command,
    knobs: &'a std::collections::BTreeMap<String, Arg>,
) -> Vec<(&'a str, &'a Arg)> {
    let mut seen = Vec::new();
    for arg in config::readers(root).flat_map(|(_, command)| command.get_arguments()) {
        if let Some((key, arg)) = knobs.get_key_value(arg.get_id().as_str())
            && !seen.iter().any(|(known, _)| known == key)
        {
            seen.push((key.as_str(), arg));
        }
    }
    seen
}

/// For keys whose values are neither files nor of a type of their own.
const EXAMPLES: [(&str, &str); 12] = [
    ("audit_webhook", "https://siem.example.com/strongroom"),
    ("broker_listen", "127.0.0.1:8701"),
    ("database_url", "postgres://strongroom@db.example.com/strongroom"),
    ("kms_key", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    ("pkcs11_module", "/usr/lib/softhsm/libsofthsm2.so"),
    ("pkcs11_token", "strongroom"),
    ("pkcs11_key", "strongroom"),
    ("transit_url", "https://bao.example.com:8200"),
    ("transit_mount", "transit"),
    ("transit_namespace", "security"),
    ("transit_key", "strongroom"),
    ("transit_role_id", "3c90c3cc-0d44-4b50-8888-8dd25736052a"),
];

fn example(key: &str, arg: &Arg) -> String {
    let kind = Kind::of(arg.get_value_parser());
    match default(arg) {
        Some(default) if kind == Kind::Text => format!("\"{default}\""),
        Some(default) => default,
        None if kind == Kind::Number => "2".to_owned(),
        None if arg.get_value_parser().type_id() == TypeId::of::<SocketAddr>() => {
            "\"127.0.0.1:8701\"".to_owned()
        }
        None if arg.get_value_parser().type_id() == TypeId::of::<PublicUrl>() => {
            "\"https://strongroom.example\"".to_owned()
        }
        None if arg.get_value_parser().type_id() == TypeId::of::<TrustedProxies>() => {
            "\"127.0.0.1,10.0.0.0/8\"".to_owned()
        }
        None => match EXAMPLES.iter().find(|(known, _)| *known == key) {
            Some((_, example)) => format!("\"{example}\""),
            None => format!("\"/path/to/{}\"", key.trim_end_matches("_file").replace('_', "-")),
        },
    }
}

/// Lines of at most 90 characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => word.clone_into(line),
            Some(line) if line.len() + word.len() < 90 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_in_the_repository_are_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        for (name, page) in pages() {
            let kept = fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(kept == page, "docs/reference/{name} is stale; run: {REFRESH}");
        }
    }

    /// What stands in code blocks of a text, a command a line.
    fn commands(text: &str) -> Vec<String> {
        let lines = text.split("```").skip(1).step_by(2).flat_map(str::lines);
        lines.filter(|line| line.starts_with("strongroom ")).map(str::to_owned).collect()
    }

    #[test]
    fn every_command_that_is_shown_can_be_run() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let guide = |name| fs::read_to_string(docs.join("guides").join(name)).unwrap();
        let guides =
            ["command-line.md", "agent-hosts.md", "root-keys.md", "audit.md", "tls.md"].map(guide).concat();
        let [(_, reference), _] = pages();
        let examples = commands(&reference)
            .into_iter()
            .filter(|line| !line.contains(['[', '<', '|']) || line.contains(" < "));
        let shown: Vec<_> = examples.chain(commands(&guides)).collect();
        assert!(shown.len() > 50, "{}", shown.len());
        for line in shown {
            let words = line.split([' ']).take_while(|word| !matches!(*word, "<" | ">"));
            let words =
                words.map(|word| if word == "ID" { "01890a5d-ac96-774b-bcce-b302099a8057" } else { word });
            let parsed = Cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn the_sample_is_a_file_that_every_command_takes() {
        let mut command = Cli::command();
        command.build();
        let sample: Vec<_> = sample(&command)
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).map(str::to_owned))
            .collect();
        assert_eq!(sample.len(), config::knobs(&command).len());
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s.toml");
        fs::write(&path, sample.join("\n")).unwrap();
        for name in ["dev", "init", "serve", "doctor"] {
            let args = ["strongroom", name, "--config", path.to_str().unwrap()];
            assert!(config::read(args.map(Into::into).to_vec()).is_ok(), "{name}");
        }
    }
}
