//! Placeholders: what stands for a value inside one run, and looks as the service's own
//! credentials do, so that programs which check the form of one take it. Derived, never stored:
//! each run has its own, and they end with it. Whoever has one has nothing without the run's
//! token for the broker.

use crate::ids::SecretId;
use crate::runs::Run;
use crate::sealing::derive;
use crate::secrets::Secret;
use crate::text::ServiceSlug;
use crate::tokens::{Token, TokenHash, TokenKind};
use crate::values::EnvKey;

/// Keeps what is derived here apart from everything else that is.
const LABEL: &[u8] = b"strongroom.placeholder.v1";

/// What stands for one value in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The text, of characters that stand as they are in JSON, headers and URLs.
    pub text: String,
    /// Of which secret.
    pub secret_id: SecretId,
    /// Which of its values, by its name.
    pub env_key: EnvKey,
}

/// The placeholders of a run for every value of these secrets; none for one without a broker.
pub fn placeholders<'a>(run: &Run, secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<Placeholder> {
    let Some(hash) = &run.broker_hash else { return Vec::new() };
    let mut all = Vec::new();
    for secret in secrets {
        all.extend(secret.env_keys.iter().map(|key| placeholder((run, hash), secret, key)));
    }
    all
}

fn placeholder((run, hash): (&Run, &TokenHash), secret: &Secret, env_key: &EnvKey) -> Placeholder {
    let form = form_of(secret.service_slug.as_ref().map(ServiceSlug::as_str), env_key.as_str());
    // The id always has 16 bytes, so the name's beginning is known.
    let derived = |out: &mut [u8]| {
        derive(hash.as_bytes(), LABEL, &[secret.id.as_bytes(), env_key.as_str().as_bytes()], out);
    };
    let generic = || {
        let mut bytes = [0; 32];
        derived(&mut bytes);
        Token::bearing(TokenKind::Placeholder, run.id.uuid(), &bytes).reveal().to_owned()
    };
    let text = form.map_or_else(generic, |form| form.text(derived));
    Placeholder { text, secret_id: secret.id, env_key: env_key.clone() }
}

/// A piece of a form.
enum Piece {
    /// These characters.
    Fixed(&'static str),
    /// So many of this alphabet.
    Any(&'static str, usize),
}

/// How credentials of a service look.
struct Form {
    /// The services, by their slugs and by the words that names of their values have; none: any.
    services: &'static [&'static str],
    /// Words of which the value's name has one.
    names: &'static [&'static str],
    pieces: &'static [Piece],
}

use Piece::{Any, Fixed};

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Header and payload are JSON; the payload says what it is. Only the signature varies.
const JWT: &[Piece] = &[
    Fixed("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."),
    Fixed("eyJpc3MiOiJzdHJvbmdyb29tIiwic3ViIjoicGxhY2Vob2xkZXIiLCJleHAiOjQxMDI0NDQ4MDB9."),
    Any(BASE64, 43),
];

/// A random UUID (RFC 9562).
const UUID: &[Piece] = &[
    Any(HEX, 8),
    Fixed("-"),
    Any(HEX, 4),
    Fixed("-4"),
    Any(HEX, 3),
    Fixed("-"),
    Any("89ab", 1),
    Any(HEX, 3),
    Fixed("-"),
    Any(HEX, 12),
];

/// The names of a service's only kind of credential.
const KEYS: &[&str] = &["key", "token", "secret", "pat", "password"];

macro_rules! forms {
    ($([$($service:literal)*] $names:expr => $pieces:expr;)*) => {
        /// The first that fits a value is its. A database's URL has none: what speaks no HTTP can't go
        /// by the broker.
        const FORMS: &[Form] =
            &[$(Form { services: &[$($service),*], names: $names, pieces: $pieces }),*];
    };
}

forms! {
    [] &["jwt"] => JWT;
    [] &["uuid"] => UUID;
    ["stripe"] &["webhook", "signing", "whsec"] => &[Fixed("whsec_"), Any(BASE62, 32)];
    ["stripe"] &["restricted", "rk"] => &[Fixed("rk_live_"), Any(BASE62, 24)];
    ["stripe"] &["publishable", "pk"] => &[Fixed("pk_live_"), Any(BASE62, 24)];
    ["stripe"] &["key", "sk", "secret", "token"] => &[Fixed("sk_live_"), Any(BASE62, 24)];
    ["github" "gh"] &["token", "pat", "key"] => &[Fixed("ghp_"), Any(BASE62, 36)];
    ["gitlab"] &["token", "pat", "key"] => &[Fixed("glpat-"), Any(BASE64, 20)];
    ["openrouter"] KEYS => &[Fixed("sk-or-v1-"), Any(HEX, 64)];
    ["openai"] KEYS => &[Fixed("sk-proj-"), Any(BASE62, 48)];
    ["anthropic" "claude"] KEYS => &[Fixed("sk-ant-api03-"), Any(BASE64, 93), Fixed("AA")];
    ["deepseek"] KEYS => &[Fixed("sk-"), Any(HEX, 32)];
    ["groq"] KEYS => &[Fixed("gsk_"), Any(BASE62, 52)];
    ["perplexity"] KEYS => &[Fixed("pplx-"), Any(BASE62, 48)];
    ["replicate"] KEYS => &[Fixed("r8_"), Any(BASE62, 37)];
    ["linear"] &["key", "token"] => &[Fixed("lin_api_"), Any(BASE62, 40)];
    ["aws"] &["secret", "secret_key"] => &[Any(BASE62, 40)];
    ["aws"] &["access_key"] => &[Fixed("AKIA"), Any(BASE32, 16)];
    ["slack"] &["signing"] => &[Any(HEX, 32)];
    ["slack"] &["app"] =>
        &[Fixed("xapp-1-A"), Any(BASE32, 10), Fixed("-"), Any(DIGITS, 13), Fixed("-"), Any(HEX, 64)];
    ["slack"] &["user"] => &[
        Fixed("xoxp-"), Any(DIGITS, 12), Fixed("-"), Any(DIGITS, 12), Fixed("-"), Any(DIGITS, 12), Fixed("-"), Any(HEX, 32),
    ];
    ["slack"] &["bot", "token", "key"] =>
        &[Fixed("xoxb-"), Any(DIGITS, 12), Fixed("-"), Any(DIGITS, 12), Fixed("-"), Any(BASE62, 24)];
    ["sendgrid"] &["key", "token"] => &[Fixed("SG."), Any(BASE64, 22), Fixed("."), Any(BASE64, 43)];
    ["twilio"] &["secret"] => &[Any(BASE62, 32)];
    ["twilio"] &["account_sid"] => &[Fixed("AC"), Any(HEX, 32)];
    ["twilio"] &["key", "key_sid"] => &[Fixed("SK"), Any(HEX, 32)];
    ["twilio"] &["token"] => &[Any(HEX, 32)];
    ["huggingface" "hugging_face" "hf"] &["token", "key"] => &[Fixed("hf_"), Any(LETTERS, 34)];
    ["google" "gemini"] &["api_key"] => &[Fixed("AIza"), Any(BASE64, 35)];
    ["npm"] &["token", "key"] => &[Fixed("npm_"), Any(BASE62, 36)];
    // The beginning says what it is for.
    ["pypi" "twine"] KEYS => &[Fixed("pypi-AgEIcHlwaS5vcmcC"), Any(BASE64, 140)];
    ["notion"] KEYS => &[Fixed("ntn_"), Any(BASE62, 46)];
    ["supabase"] &["key", "anon", "service_role"] => JWT;
}

/// How the value of this name looks; `None`: as nothing in particular.
fn form_of(slug: Option<&str>, name: &str) -> Option<&'static Form> {
    let fits = |form: &&Form| form.names.iter().any(|word| has_word(name, word));
    let named = |form: &&Form| form.services.iter().any(|service| has_word(name, service));
    let of_slug = |form: &&Form| {
        form.services.iter().any(|service| slug.is_some_and(|slug| slug.eq_ignore_ascii_case(service)))
    };
    let unserved = FORMS.iter().filter(|form| form.services.is_empty()).find(fits);
    // A name says more of one value than the slug does of them all.
    let named = || FORMS.iter().filter(named).find(fits);
    let of_slug = || FORMS.iter().filter(of_slug).find(fits);
    unserved.or_else(named).or_else(of_slug)
}

/// Whether these words stand in the name of a value.
fn has_word(name: &str, words: &str) -> bool {
    let words = words.to_ascii_uppercase();
    name.match_indices(&words).any(|(at, found)| {
        let before = name.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('_'));
        let after =
            name.get(at + found.len()..).is_some_and(|after| after.is_empty() || after.starts_with('_'));
        before && after
    })
}

impl Form {
    /// The text, of bytes that are derived: two a character, of which none of an alphabet is more
    /// than a thousandth likelier than another.
    fn text(&self, derived: impl FnOnce(&mut [u8])) -> String {
        let mut bytes = vec![0; 2 * self.pieces.iter().map(Piece::varying).sum::<usize>()];
        derived(&mut bytes);
        let mut chance = bytes.as_chunks::<2>().0.iter().map(|pair| usize::from(u16::from_be_bytes(*pair)));
        let mut text = String::new();
        for piece in self.pieces {
            match piece {
                Fixed(fixed) => text.push_str(fixed),
                Any(alphabet, count) => text.extend(chance.by_ref().take(*count).filter_map(|number| {
                    alphabet.as_bytes().get(number % alphabet.len()).copied().map(char::from)
                })),
            }
        }
        text
    }
}

impl Piece {
    /// How many characters of it vary.
    const fn varying(&self) -> usize {
        match self {
            Fixed(_) => 0,
            Any(_, count) => *count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    fn text(form: &Form, seed: u8) -> String {
        form.text(|bytes| derive(&[seed; 32], b"", &[], bytes))
    }

    fn text_of(slug: Option<&str>, name: &str) -> String {
        form_of(slug, name).map_or_else(|| "srp_".to_owned(), |form| text(form, 7))
    }

    #[test]
    fn in_each_form_80_bits_vary_of_characters_that_nothing_escapes() {
        for form in FORMS {
            let bits = form.pieces.iter().map(|piece| match piece {
                Fixed(_) => 0.0,
                Any(alphabet, count) => {
                    (u16::try_from(alphabet.len()).map(f64::from).unwrap()).log2()
                        * f64::from(u16::try_from(*count).unwrap())
                }
            });
            assert!(bits.sum::<f64>() >= 80.0, "{}", text(form, 1));
            let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert!(text(form, 1).bytes().all(unreserved), "{}", text(form, 1));
            assert_ne!(text(form, 1), text(form, 2));
            assert!(text(form, 1).len() < 256);
        }
    }

    #[test]
    fn a_value_looks_as_its_service_s_do() {
        for (slug, name, begins, length) in [
            (None, "STRIPE_SECRET_KEY", "sk_live_", 32),
            (Some("stripe"), "API_KEY", "sk_live_", 32),
            (Some("Stripe"), "WEBHOOK_SECRET", "whsec_", 38),
            (Some("stripe"), "RESTRICTED_KEY", "rk_live_", 32),
            (Some("stripe"), "GITHUB_TOKEN", "ghp_", 40),
            (None, "MY_GH_TOKEN", "ghp_", 40),
            (Some("openai"), "OPENAI_API_KEY", "sk-proj-", 56),
            (Some("anthropic"), "ANTHROPIC_API_KEY", "sk-ant-api03-", 108),
            (None, "AWS_ACCESS_KEY_ID", "AKIA", 20),
            (None, "AWS_SECRET_ACCESS_KEY", "", 40),
            (Some("slack"), "SLACK_BOT_TOKEN", "xoxb-", 55),
            (Some("sendgrid"), "SENDGRID_API_KEY", "SG.", 69),
            (Some("twilio"), "TWILIO_ACCOUNT_SID", "AC", 34),
            (Some("twilio"), "TWILIO_API_KEY", "SK", 34),
            (None, "HF_TOKEN", "hf_", 37),
            (None, "GITLAB_TOKEN", "glpat-", 26),
            (None, "GEMINI_API_KEY", "AIza", 39),
            (None, "NPM_TOKEN", "npm_", 40),
            (None, "NOTION_TOKEN", "ntn_", 50),
            (None, "SUPABASE_ANON_KEY", "eyJ", 157),
            (None, "SESSION_JWT", "eyJ", 157),
            (None, "TENANT_UUID", "", 36),
            (None, "DATABASE_URL", "srp_", 4),
            (Some("openai"), "OPENAI_BASE_URL", "srp_", 4),
            (None, "MONKEY_TOKENS", "srp_", 4),
        ] {
            let text = text_of(slug, name);
            assert!(text.starts_with(begins) && text.len() == length, "{slug:?} {name}: {text}");
        }
        let uuid = text_of(None, "TENANT_UUID");
        assert_eq!(uuid::Uuid::parse_str(&uuid).unwrap().get_version_num(), 4);
    }

    #[test]
    fn a_jwt_is_two_objects_and_a_signature() {
        let jwt = text_of(None, "A_JWT");
        let parts: Vec<_> = jwt.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect();
        assert_eq!(parts.len(), 3);
        for part in &parts[..2] {
            let read: serde_json::Value = serde_json::from_slice(part.as_ref().unwrap()).unwrap();
            assert!(read.is_object());
        }
        assert_ne!(jwt, form_of(None, "A_JWT").map(|form| text(form, 8)).unwrap());
    }

    proptest! {
        #[test]
        fn words_are_found_whole(name in "[A-Z_][A-Z0-9_]{0,20}", word in "[a-z]{1,4}(_[a-z]{1,4})?") {
            let plain = format!("_{name}_").contains(&format!("_{}_", word.to_ascii_uppercase()));
            prop_assert_eq!(has_word(&name, &word), plain);
        }
    }
}
