//! Values arrive to the last byte, whatever way they take.

use serde_json::Value;

use super::{Session, text};
use crate::stub::fed;

/// Values that some program reads, quotes or ends in its own way.
fn awkward() -> Vec<(&'static str, String)> {
    let texts = [
        ("PLAIN", "abc"),
        ("LINES", "-----BEGIN\nabc=\n-----END\n"),
        ("EMPTY_LINES", "\n\n a\n\n\n"),
        ("CARRIAGE", "a\r\nb\r\n"),
        ("EQUALS", "=a==b="),
        ("QUOTES", "it's \"so\" `x`"),
        ("BACKSLASHES", "\\n \\\\ \\\" \\$ \\"),
        ("DOLLARS", "$HOME ${HOME} $(id)"),
        ("COMMENT", "a # b #c"),
        ("BLANKS", "  \t a \t "),
        ("AT", "@file"),
        ("DASH", "-"),
        ("UNICODE", "käse 🔑 日本語 e\u{301} \u{202e}\u{feff}\u{1}\u{7f}"),
    ];
    let mut values: Vec<_> = texts.map(|(key, value)| (key, value.to_owned())).into();
    values.push(("LONG", "x".repeat(65_536)));
    values
}

/// What is too long for an argument: as many characters, of four bytes each.
fn longest() -> (&'static str, String) {
    ("LONGEST", format!("{}\n\n", "🔑".repeat(65_534)))
}

fn quoted(values: &[(&str, String)]) -> String {
    let line = |(key, value): &(&str, String)| {
        format!("{key}=\"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    values.iter().map(line).collect()
}

/// A secret whose values came from the command line.
fn by_argument(session: &Session, values: &[(&str, String)]) -> String {
    let arguments: Vec<_> = values.iter().map(|(key, value)| format!("--value={key}=={value}")).collect();
    let mut args = vec!["secrets", "create", "--name", "argument", "--json"];
    args.extend(arguments.iter().map(String::as_str));
    let created = session.run(&args);
    let created: Value = serde_json::from_str(created.done()).unwrap();
    text(&created, "id")
}

/// A secret whose values came from a file for each.
fn by_file(session: &Session, values: &[(&str, String)]) -> String {
    let arguments: Vec<_> = values.iter().map(|(key, _)| format!("--value={key}=@{key}.value")).collect();
    for (key, value) in values {
        session.file(&format!("{key}.value"), value);
    }
    let mut args = vec!["secrets", "create", "--name", "file"];
    args.extend(arguments.iter().map(String::as_str));
    text(&session.json(&args), "id")
}

/// A secret whose values came through standard input, one after the other.
fn by_standard_input(session: &Session, values: &[(&str, String)]) -> String {
    let id = text(&session.json(&["secrets", "create", "--name", "input"]), "id");
    for (key, value) in values {
        let set = format!("{key}=-");
        fed(session.command(&["secrets", "update", &id, "--set", &set]), value.as_bytes()).done();
    }
    id
}

fn all_same(session: &Session, a: &str, b: &str, names: usize) {
    let compared = session.compared(a, b);
    assert_eq!(compared.as_object().unwrap().len(), names);
    for (key, found) in compared.as_object().unwrap() {
        assert_eq!(found, "same", "{key}");
    }
}

#[test]
fn every_way_brings_the_same_values() {
    let session = Session::begin();
    let mut values = awkward();
    let argument = by_argument(&session, &values);
    let file = by_file(&session, &values);
    all_same(&session, &argument, &file, values.len());
    values.push(longest());
    let file = by_file(&session, &values);
    let env = session.secret("env file", &quoted(&values), &[]);
    let input = by_standard_input(&session, &values);
    all_same(&session, &file, &env, values.len());
    all_same(&session, &file, &input, values.len());

    let (first, last) = (&values[0].0, &values.last().unwrap().0);
    let other = ["secrets", "update", &env, "--set", &format!("{first}==abd"), "--remove", last];
    session.done(&other);
    let compared = session.compared(&file, &env);
    assert_eq!((&compared[first], &compared[last]), (&"different".into(), &"only_a".into()));
    let found = compared.as_object().unwrap().values();
    assert_eq!(found.filter(|found| *found == "same").count(), values.len() - 2);
}

#[test]
fn only_the_end_of_a_single_line_is_taken_away() {
    let session = Session::begin();
    session.file("echoed", "token\n");
    session.file("pem", "two\nlines\n");
    let given = ["--value", "A=@echoed", "--value", "B=-", "--value", "C=@pem"];
    let piped = session.command(&[&["secrets", "create", "--name", "n", "--json"], &given[..]].concat());
    let piped: Value = serde_json::from_str(fed(piped, b"token\r\n").done()).unwrap();
    let literal = session.secret("literal", "A=token\nB=token\nC=\"two\nlines\n\"\n", &[]);
    all_same(&session, &text(&piped, "id"), &literal, 3);
}

#[test]
fn values_are_in_no_output_and_in_no_file_of_the_server() {
    let session = Session::begin();
    let id = session.secret("canary", "A=hunter2canary\n", &["--service-slug", "s"]);
    let other = session.secret("canary", "A=hunter2canary\nB=hunter2canary2\n", &[]);
    for args in [
        &["secrets", "get", &id][..],
        &["secrets", "list"],
        &["secrets", "versions", &id],
        &["secrets", "compare", &id, &other],
        &["secrets", "copy", &id, "--name", "copy"],
        &["secrets", "rollback", &id, "--version", "1", "--yes"],
        &["secrets", "update", &id, "--rename", "A=C"],
        &["secrets", "delete", &id, "--yes"],
        &["secrets", "undelete", &id],
    ] {
        for form in [&[][..], &["--json"]] {
            let ended = session.run(&[args, form].concat());
            assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter2"), "{args:?}");
        }
    }
    let log = std::fs::read_to_string(&session.server.stderr).unwrap();
    assert!(!log.contains("hunter2") && !log.contains(&session.key), "{log}");
    for file in ["strongroom.db", "strongroom.db-wal"] {
        let bytes = std::fs::read(session.place.data().join(file)).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{file}");
    }
}
