//! The page behind the link of a request, for whoever has the link and nothing else:
//! only where the team lets them, and only for what was asked for.

use axum::http::StatusCode;
use std::sync::Arc;
use strongroom_core::app::NewFillRequest;
use strongroom_core::fill_requests::{Fate, USUALLY_SECONDS};
use strongroom_core::secrets::Filter;
use strongroom_core::text::FillNote;
use strongroom_core::{EnvKey, FillRequestId, SecretName};

use crate::instance::Instance;

/// Shown as anything but text, it would do something.
const HOSTILE: &str = "<script>alert(1)</script>\"'&amp;";
const VALUE: &str = "sk-typed-by-somebody";

impl Instance {
    async fn let_links_fill(&self, they_may: bool) {
        let owner = self.owner().await;
        let planned = self.app.let_links_fill(&owner, they_may).await.unwrap();
        self.app.carry_out(&owner, planned, None).await.unwrap();
    }

    /// A request of the owner's: its id, and the path of its link.
    async fn asked(&self) -> (FillRequestId, String) {
        let new = NewFillRequest {
            name: SecretName::parse(HOSTILE).unwrap(),
            service_slug: None,
            env_keys: ["A", "B"].map(|key| EnvKey::parse(key).unwrap()).to_vec(),
            note: Some(FillNote::parse(HOSTILE).unwrap()),
            valid_seconds: USUALLY_SECONDS,
        };
        let owner = self.owner().await;
        let planned = self.app.request_fill(&owner, &new).await.unwrap();
        let (request, token) = self.app.carry_out(&owner, planned, None).await.unwrap();
        (request.id, format!("/fill/{}", token.reveal()))
    }

    async fn fate(&self, id: FillRequestId) -> Fate {
        let request = self.app.fill_request(&self.owner().await, id).await.unwrap();
        request.fate(self.app.clock().now())
    }
}

/// What is sent when both values are filled in.
fn filled(form: &str) -> [(&str, &str); 5] {
    [("form", form), ("key", "A"), ("value", VALUE), ("key", "B"), ("value", "another")]
}

#[tokio::test]
async fn whoever_has_the_link_is_led_to_sign_in_unless_the_team_lets_them() {
    let instance = Instance::new().await;
    let (_, path) = instance.asked().await;
    let page = instance.open(&path).await;
    assert_eq!((page.status, page.location), (StatusCode::SEE_OTHER, format!("/sign-in?to={path}")));
    assert!(page.body.is_empty(), "nothing is told of who asks, or for what");
    instance.let_links_fill(true).await;
    let page = instance.open(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(&format!("action=\"{path}/alone\"")) && page.cookie.is_some());
    assert!(
        page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.body.contains("<script>alert")
    );
    assert!(page.body.contains(&format!("/sign-in?to={path}")), "who signs in may choose more");
    for chosen in ["name=\"shared\"", "name=\"attach\""] {
        assert!(!page.body.contains(chosen), "{chosen}");
    }
}

#[tokio::test]
async fn it_becomes_the_askers_own_and_the_link_is_used_up() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (id, path) = instance.asked().await;
    let (page, alone) = (instance.open(&path).await, format!("{path}/alone"));
    let (form, cookie) = (page.form(), page.cookie.unwrap());
    let with_cookie = [("cookie", cookie.as_str())];
    // Whatever else a form claims.
    let fields = [&filled(&form)[..], &[("shared", "yes"), ("attach", "yes")]].concat();
    let done = instance.send(&alone, &fields, &with_cookie).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    assert!(done.body.contains("The link is used up.") && !done.body.contains(VALUE));
    assert!(!done.body.contains("/secrets/"), "nobody who isn't signed in is led to the secret");
    assert_eq!(instance.fate(id).await, Fate::Filled);
    let owner = instance.owner().await;
    let secrets = instance.app.secrets_after(&owner, None, &Filter::new(None, None), 9).await.unwrap();
    assert_eq!(secrets.secrets.len(), 1);
    assert_eq!(secrets.secrets[0].owner, Some(owner.caller.user_id));
    for page in [instance.open(&path).await, instance.send(&alone, &fields, &with_cookie).await] {
        assert_eq!(page.status, StatusCode::GONE, "{}", page.body);
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (id, path) = instance.asked().await;
    let (page, alone) = (instance.open(&path).await, format!("{path}/alone"));
    let (form, cookie) = (page.form(), page.cookie.clone().unwrap());
    let good = ("cookie", cookie.as_str());
    let other = instance.open(&path).await;
    let foreign = other.form();
    assert_ne!(foreign, form, "each browser has its own");
    for (form, headers) in [
        (&*form, vec![]),
        (&*form, vec![("cookie", "strongroom-form=x")]),
        ("", vec![good]),
        (&*foreign, vec![good]),
        (&*form, vec![good, ("origin", "https://evil.example")]),
        (&*form, vec![good, ("origin", "http://secrets.example.com.evil.example")]),
        (&*form, vec![good, ("sec-fetch-site", "cross-site")]),
        (&*form, vec![good, ("sec-fetch-site", "same-site")]),
    ] {
        let refused = instance.send(&alone, &filled(form), &headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    // Nor is the form of a stranger one of somebody's who is signed in.
    let refused = instance.send(&path, &filled(&form), &[good]).await;
    assert_eq!(refused.status, StatusCode::SEE_OTHER);
    assert!(refused.location.starts_with("/sign-in?"), "{}", refused.location);
    assert_eq!(instance.fate(id).await, Fate::Open);
    let own = [good, ("origin", "http://secrets.example.com"), ("sec-fetch-site", "same-origin")];
    assert_eq!(instance.send(&alone, &filled(&form), &own).await.status, StatusCode::OK, "the control");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_no_value_given_back() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (id, path) = instance.asked().await;
    let page = instance.open(&path).await;
    let (form, cookie) = (page.form(), page.cookie.clone().unwrap());
    let form = ("form", form.as_str());
    let large = "x".repeat(65_537);
    for (fields, says) in [
        (vec![("key", "A"), ("value", VALUE), ("key", "B"), ("value", "")], "The value of B must be"),
        (vec![("key", "A"), ("value", VALUE)], "Every value that was asked for is to be filled in"),
        (vec![("key", "A"), ("value", VALUE), ("key", "C"), ("value", "x")], "and no other"),
        (vec![("key", "A"), ("value", VALUE), ("key", "A"), ("value", "x")], "repeats the name"),
        (vec![("key", "A"), ("value", VALUE), ("key", "B"), ("value", &large)], "The value of B must be"),
        (vec![("key", "A"), ("value", VALUE), ("pasted", "B=1%0AC=2")], "and no other"),
        (vec![], "Every value that was asked for"),
    ] {
        let fields = [&[form], &fields[..]].concat();
        let refused = instance.send(&format!("{path}/alone"), &fields, &[("cookie", &cookie)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{says}");
        assert!(refused.body.contains(says), "{says}: {}", refused.body);
        assert!(refused.body.contains("Nothing was stored: fill in each value again."), "{says}");
        assert!(!refused.body.contains(VALUE), "{says}");
        assert_eq!(refused.form(), form.1, "it can be sent again");
    }
    assert_eq!(instance.fate(id).await, Fate::Open);
}

#[tokio::test]
async fn switched_off_while_it_was_being_filled_in_nothing_is_stored() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (id, path) = instance.asked().await;
    let page = instance.open(&path).await;
    let (form, cookie) = (page.form(), page.cookie.clone().unwrap());
    instance.let_links_fill(false).await;
    let led = instance.send(&format!("{path}/alone"), &filled(&form), &[("cookie", &cookie)]).await;
    assert_eq!((led.status, led.location), (StatusCode::SEE_OTHER, format!("/sign-in?to={path}")));
    assert_eq!(instance.fate(id).await, Fate::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_who_have_the_link_one_fills_it_in_and_the_others_hear_that_it_was_used() {
    let instance = Arc::new(Instance::new().await);
    instance.let_links_fill(true).await;
    let (id, path) = instance.asked().await;
    let page = instance.open(&path).await;
    let (form, cookie) = (page.form(), page.cookie.clone().unwrap());
    let sent: Vec<_> = (0..64)
        .map(|_| {
            let (instance, form, cookie) = (Arc::clone(&instance), form.clone(), cookie.clone());
            let alone = format!("{path}/alone");
            tokio::spawn(
                async move { instance.send(&alone, &filled(&form), &[("cookie", &cookie)]).await.status },
            )
        })
        .collect();
    let mut statuses = Vec::new();
    for sent in sent {
        statuses.push(sent.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{statuses:?}");
    let used = statuses.iter().filter(|status| **status == StatusCode::GONE).count();
    assert_eq!(used, 63, "{statuses:?}");
    assert_eq!(instance.fate(id).await, Fate::Filled);
}

#[tokio::test]
async fn what_is_no_link_is_refused_alike() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (_, path) = instance.asked().await;
    for bad in
        ["/fill/x".to_owned(), format!("{path}0"), path.replace("srl_", "srs_"), "/fill/%00".to_owned()]
    {
        for page in [instance.open(&bad).await, instance.open(&format!("{bad}?done=moved")).await] {
            assert_eq!(page.status, StatusCode::GONE, "{bad}");
            assert!(page.body.contains("This link was used, withdrawn, or is too old."), "{bad}");
        }
    }
}

#[tokio::test]
async fn a_stranger_s_form_costs_little() {
    let instance = Instance::new().await;
    instance.let_links_fill(true).await;
    let (_, path) = instance.asked().await;
    let (alone, large) = (format!("{path}/alone"), "v".repeat(16 << 10));
    let (page, cookie) = (instance.open(&path).await, ("cookie", "strongroom-form=made-up"));
    for (path, fields, status) in [
        ("/sign-in", vec![("email", "a"); 1_025], StatusCode::PAYLOAD_TOO_LARGE),
        ("/sign-in", vec![("email", large.as_str())], StatusCode::PAYLOAD_TOO_LARGE),
        ("/sign-in", vec![("email", "a"); 1_024], StatusCode::FORBIDDEN),
        (&alone, vec![("value", "a"); 1_025], StatusCode::PAYLOAD_TOO_LARGE),
        (&alone, vec![("value", large.as_str())], StatusCode::FORBIDDEN),
    ] {
        let sent = instance.send(path, &fields, &[cookie]).await;
        assert_eq!(sent.status, status, "{path} {}", fields.len());
    }
    // What is asked for is as large as it likes.
    let form = page.form();
    let fields = [("form", form.as_str()), ("key", "A"), ("value", &large), ("key", "B"), ("value", "b")];
    let sent = instance.send(&alone, &fields, &[("cookie", &page.cookie.unwrap())]).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.body);
}
