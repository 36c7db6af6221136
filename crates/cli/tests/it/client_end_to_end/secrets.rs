//! Secrets from their creation to their end.

use serde_json::{Value, json};

use super::{NOTHING, Session, text};
use crate::stub::fed;

#[test]
fn what_is_created_is_listed_and_shown() {
    let session = Session::begin();
    let none = session.run(&["secrets", "list"]);
    assert!(none.done().is_empty() && none.stderr.starts_with("No secrets here."), "{}", none.stderr);
    assert_eq!(session.json(&["secrets", "list"]), json!([]));
    let env = "SMTP_USER=ada\nSMTP_PASSWORD='two\nlines'\n";
    let create = ["secrets", "create", "--name", "Mail", "--from-env-file", "-", "--shared", "--json"];
    let created: Value = serde_json::from_str(fed(session.command(&create), env.as_bytes()).done()).unwrap();
    assert_eq!(created["env_var_keys"], json!(["SMTP_USER", "SMTP_PASSWORD"]));
    assert_eq!(created["team_id"], session.team.as_str());
    let id = text(&created, "id");
    assert_eq!(session.json(&["secrets", "get", &id]), created);
    assert_eq!(session.json(&["secrets", "list"]), json!([created]));
    let shown = session.done(&["secrets", "get", &id]);
    for line in ["name         Mail", "access       shared", "keys         SMTP_USER, SMTP_PASSWORD"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let table = session.done(&["secrets", "list"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains(&format!("{id}  Mail  shared  SMTP_USER, SMTP_PASSWORD  -")), "{table}");
}

#[test]
fn a_list_is_searched_and_cut_short() {
    let session = Session::begin();
    for (name, args) in [("one", &["--service-slug", "mail"][..]), ("two", &[]), ("Three", &["--shared"])] {
        session.secret(name, &format!("{}_KEY=x", name.to_uppercase()), args);
    }
    let names = |args: &[&str]| {
        let listed = session.json(&[&["secrets", "list"], args].concat());
        listed.as_array().unwrap().iter().map(|secret| text(secret, "name")).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["one", "two", "Three"], "oldest first");
    assert_eq!(names(&["--search", "THREE"]), ["Three"]);
    assert_eq!(names(&["--search", "o"]), ["one", "two"]);
    assert_eq!(names(&["--search", "two_key"]), ["two"], "names of values count");
    assert_eq!(names(&["--service-slug", "mail"]), ["one"]);
    assert_eq!(names(&["--limit", "2"]), ["one", "two"]);
    let cut = session.run(&["secrets", "list", "--limit", "2"]);
    assert!(cut.done().lines().count() == 3 && cut.stderr.contains("there are more"), "{}", cut.stderr);
    let whole = session.run(&["secrets", "list", "--limit", "3"]);
    assert!(whole.done().lines().count() == 4 && whole.stderr.is_empty(), "{}", whole.stderr);
}

#[test]
fn each_way_of_changing_changes_that_and_nothing_else() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\nB=2\nC=3\n", &[]);
    let whole = session.secret("Mail", "A=1\nB=2\nC=3\n", &[]);
    session.file(".env", "D=4\nA=1\n");
    let update = |args: &[&str]| session.json(&[&["secrets", "update", &id], args].concat());
    assert_eq!(update(&["--name", "Post"])["name"], "Post");
    assert_eq!(update(&["--service-slug", "smtp"])["service_slug"], "smtp");
    assert_eq!(update(&["--clear-service-slug"])["service_slug"], Value::Null);
    assert_eq!(update(&["--shared"])["user_id"], Value::Null);
    assert_eq!(update(&["--personal"])["user_id"], session.user.as_str());
    assert_eq!(update(&["--rename", "A=Z"])["env_var_keys"], json!(["Z", "B", "C"]));
    assert_eq!(
        session.compared(&id, &whole),
        json!({"A": "only_b", "B": "same", "C": "same", "Z": "only_a"})
    );
    assert_eq!(update(&["--remove", "B"])["env_var_keys"], json!(["Z", "C"]));
    assert_eq!(update(&["--set", "C=4", "--set", "B=2"])["env_var_keys"], json!(["Z", "C", "B"]));
    let at_once = update(&["--rename", "Z=A", "--remove", "B", "--set", "B=2", "--name", "Mail"]);
    assert_eq!((&at_once["env_var_keys"], &at_once["name"]), (&json!(["A", "C", "B"]), &json!("Mail")));
    assert_eq!(session.compared(&id, &whole), json!({"A": "same", "B": "same", "C": "different"}));
    assert_eq!(update(&["--from-env-file", ".env"])["env_var_keys"], json!(["A", "C", "B", "D"]));
    assert_eq!(update(&["--from-env-file", ".env", "--replace"])["env_var_keys"], json!(["D", "A"]));
    assert_eq!(update(&["--set", "E==x", "--replace"])["env_var_keys"], json!(["E"]));
    let shown = session.done(&["secrets", "update", &id, "--name", "Said"]);
    assert!(shown.contains("name         Said") && shown.contains("version tag  \""), "{shown}");
    for args in [&["--remove", "NONE"][..], &["--rename", "NONE=X"], &["--name", ""]] {
        let refused = session.run(&[&["secrets", "update", &id], args].concat());
        assert!(!refused.refusal().is_empty(), "{args:?}");
    }
}

#[test]
fn versions_lead_back() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    let first = session.secret("first", "A=1\n", &[]);
    session.done(&["secrets", "update", &id, "--set", "A=2"]);
    session.done(&["secrets", "update", &id, "--set", "B=3"]);
    let versions = session.json(&["secrets", "versions", &id]);
    let numbers = |versions: &Value| {
        let versions = versions.as_array().unwrap().iter();
        versions.map(|v| (v["number"].as_u64().unwrap(), v["current"].as_bool().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&versions), [(1, false), (2, false), (3, true)]);
    let table = session.done(&["secrets", "versions", &id]);
    assert!(table.starts_with("VERSION  CREATED (UTC)"), "{table}");
    assert!(table.contains("\n3 *  ") && table.ends_with("\n\n* the present one\n"), "{table}");
    let back = session.done(&["secrets", "rollback", &id, "--version", "1", "-y"]);
    assert!(back.contains("keys         A\n"), "{back}");
    assert_eq!(session.compared(&id, &first), json!({"A": "same"}));
    assert_eq!(numbers(&session.json(&["secrets", "versions", &id])).last(), Some(&(4, true)));
    let none = session.run(&["secrets", "rollback", &id, "--version", "9", "-y"]);
    assert!(none.code != Some(0) && none.stderr.contains("version"), "{}", none.stderr);
}

#[test]
fn what_is_deleted_comes_back() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\n", &[]);
    let whole = session.secret("Mail", "A=1\n", &[]);
    let deleted = session.run(&["secrets", "delete", &id, "--yes"]);
    assert!(deleted.done().is_empty(), "{}", deleted.stdout);
    assert!(
        deleted.stderr.ends_with(&format!("\n  strongroom secrets undelete {id}\n")),
        "{}",
        deleted.stderr
    );
    assert_eq!(session.run(&["secrets", "get", &id]).code, Some(3));
    assert_eq!(session.json(&["secrets", "list"]).as_array().unwrap().len(), 1);
    assert!(session.done(&["secrets", "undelete", &id]).contains("name         Mail"));
    assert_eq!(session.compared(&id, &whole), json!({"A": "same"}));
    assert_eq!(session.json(&["secrets", "delete", &id, "-y"]), json!({"success": true}));
    assert_eq!(text(&session.json(&["secrets", "undelete", &id]), "id"), id);
    assert_eq!(session.run(&["secrets", "delete", NOTHING, "-y"]).code, Some(3));
}

#[test]
fn a_copy_is_another_secret_with_the_same_values() {
    let session = Session::begin();
    let id = session.secret("Mail", "A=1\nB=2\n", &[]);
    let copy = session.json(&["secrets", "copy", &id, "--name", "Staging", "--shared"]);
    assert_eq!((&copy["name"], &copy["user_id"]), (&json!("Staging"), &Value::Null));
    let copy = text(&copy, "id");
    assert_eq!(session.compared(&id, &copy), json!({"A": "same", "B": "same"}));
    session.done(&["secrets", "update", &copy, "--set", "B=3", "--set", "C=4"]);
    session.done(&["secrets", "update", &id, "--set", "D=4"]);
    let table = session.done(&["secrets", "compare", &id, &copy]);
    let expected =
        "KEY  VALUES\nA    same\nB    different\nC    only in the second\nD    only in the first\n";
    assert_eq!(table, expected);
    assert!(session.done(&["secrets", "copy", &id, "--name", "Again"]).contains("access       personal"));
}
