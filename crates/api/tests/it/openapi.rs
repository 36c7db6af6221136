//! The description of the API: committed, fresh, and without an operation that
//! the access table doesn't know.

use strongroom_core::Action;
use strongroom_core::access::By;

use crate::support::TestApp;

const COMMITTED: &str = include_str!("../../../../docs/reference/openapi.json");

#[test]
fn the_committed_description_is_fresh() {
    assert!(
        COMMITTED == strongroom_api::document(),
        "docs/reference/openapi.json is stale; run: cargo run -- openapi > docs/reference/openapi.json"
    );
}

#[tokio::test]
async fn it_is_served_as_it_is_committed() {
    let app = TestApp::new().await;
    let answer = app.anonymous().get("/openapi.json").await;
    assert!(answer.status == 200 && answer.body == COMMITTED);
}

/// Operations that anybody may call.
const OPEN: [&str; 3] = ["health", "readiness", "getVerifierKeys"];

#[test]
fn every_operation_has_a_row_in_the_access_table_and_every_row_an_operation() {
    let of_pages = |action: Action| {
        let about_invitations =
            [Action::ListInvitations, Action::CreateInvitation, Action::CancelInvitation].contains(&action);
        about_invitations || matches!(action.by(), By::Session | By::SignIn | By::SetUp | By::Filler)
    };
    let description: serde_json::Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let methods = description["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values());
    let mut named: Vec<_> = methods.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    named.retain(|name| !OPEN.contains(name));
    for name in &named {
        let action = Action::of_operation(name.trim_end_matches("V1"));
        assert!(action.is_some(), "{name} has no row in the access table (core/access/table.rs)");
    }
    for action in Action::ALL.into_iter().filter(|action| !of_pages(*action)) {
        assert!(named.contains(&action.rule().operation), "no operation does {action:?}");
    }
}

/// Two types of one name would be described as one of them.
#[test]
fn what_comes_of_a_request_is_no_state_of_a_run() {
    let description: serde_json::Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let schemas = &description["components"]["schemas"];
    let told = |schema: &str| -> Vec<String> {
        let described = schemas[schema]["properties"]["status"]["$ref"].as_str().unwrap();
        let name = described.rsplit('/').next().unwrap();
        let listed = serde_json::to_string(&schemas[name]).unwrap();
        let fates = strongroom_core::fill_requests::Fate::ALL.map(|fate| format!("\"{}\"", fate.name()));
        fates.into_iter().filter(|fate| listed.contains(fate)).collect()
    };
    assert_eq!(told("FillRequest").len(), 4);
    assert!(told("Run").len() < 4, "another type");
}
