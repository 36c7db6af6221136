//! Networks of API keys behind a reverse proxy: whom the server believes.

use serde_json::json;

use crate::certificates::curl;
use crate::harness::{Place, Server};

/// An instance with a key that is good from one address only.
pub(crate) fn place_with_key_for(network: &str) -> (Place, String) {
    let (place, owner) = Place::with_instance();
    let server = place.serve();
    let mut client = server.client(&owner);
    let profile = client.get("/v2/profile").json();
    let team = profile["profile"]["teamId"].as_str().unwrap().to_owned();
    let body = json!({"name": "from one place", "cidrs": [network]}).to_string();
    let made = client.post(&format!("/v2/teams/{team}/api-keys"), &body);
    assert_eq!(made.status, 201, "{}", made.body);
    let key = made.json()["api_key"].as_str().unwrap().to_owned();
    server.stop();
    (place, key)
}

/// The status that a client at this address gets who sends these headers.
pub(crate) fn status(
    url: &str,
    authorities: &std::path::PathBuf,
    key: &str,
    from: &str,
    headers: &[&str],
) -> String {
    let token = format!("Authorization: Bearer {key}");
    let mut args = vec!["--interface", from, "--header", &token];
    args.extend(headers.iter().flat_map(|header| ["--header", header]));
    args.push(url);
    curl(authorities, &args).split(' ').next().unwrap().to_owned()
}

#[test]
fn only_a_trusted_proxy_says_where_a_caller_is() {
    let (place, key) = place_with_key_for("127.0.0.5/32");
    let none = place.path("none.pem");
    std::fs::write(&none, "").unwrap();
    let server = |args: &[&str]| {
        let args = [&["--listen", "127.0.0.1:0", "--rate-limit", "0"], args].concat();
        Server::start(place.command("serve", &args), place.path("stderr"))
    };
    let spoofs: [&[&str]; 6] = [
        &["X-Forwarded-For: 127.0.0.5"],
        &["Forwarded: for=127.0.0.5"],
        &["X-Forwarded-For: 127.0.0.5", "Forwarded: for=127.0.0.5"],
        &["X-Forwarded-For: 127.0.0.5, 127.0.0.5"],
        &["X-Real-IP: 127.0.0.5"],
        &["X-Forwarded-For: 127.0.0.9, 127.0.0.5"],
    ];
    for trusted in [&[][..], &["--trusted-proxies", "127.0.0.9,10.0.0.0/8"]] {
        let server = server(trusted);
        let url = format!("http://{}/v1/credentials", server.address);
        let ask = |from: &str, headers: &[&str]| status(&url, &none, &key, from, headers);
        assert_eq!(ask("127.0.0.5", &[]), "200");
        for spoof in spoofs {
            assert_eq!(ask("127.0.0.6", spoof), "403", "{spoof:?}");
            assert_eq!(ask("127.0.0.5", spoof), "200", "{spoof:?}");
        }
        let believed = !trusted.is_empty();
        let of_a_proxy = |headers: &[&str]| ask("127.0.0.9", headers);
        let named = if believed { "200" } else { "403" };
        for spoof in [spoofs[0], spoofs[1], spoofs[2], spoofs[3], spoofs[5]] {
            assert_eq!(of_a_proxy(spoof), named, "{spoof:?}");
        }
        assert_eq!(of_a_proxy(&["X-Forwarded-For: 127.0.0.5, 127.0.0.6"]), "403");
        assert_eq!(of_a_proxy(&["X-Forwarded-For: unknown"]), "403");
        assert_eq!(of_a_proxy(&[]), "403");
        let told_apart = ["X-Forwarded-For: 127.0.0.5", "Forwarded: for=127.0.0.6"];
        assert_eq!(of_a_proxy(&told_apart), if believed { "400" } else { "403" });
        server.stop();
    }
}

#[test]
fn nobody_can_trust_everybody() {
    let (place, _) = Place::with_instance();
    for (list, words) in
        [("0.0.0.0/0", "everybody"), ("localhost", "networks such as"), ("", "networks such as")]
    {
        let refused = place.run("serve", &["--listen", "127.0.0.1:0", "--trusted-proxies", list]);
        assert_eq!(refused.code, Some(64), "{list}");
        assert!(refused.stderr.contains(words), "{list}: {}", refused.stderr);
    }
}
