//! What a run's environment is made of: several secrets may have a value of
//! the same name, and this file alone decides which of them wins.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::ids::{AttachmentId, SecretId};
use crate::runs::RunMode;
use crate::secrets::Secret;
use crate::text::Invalid;
use crate::values::EnvKey;

/// Why the winner of a name won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No other secret has the name.
    Only,
    /// It is the starter's own, and what it won over is the team's.
    Personal,
    /// It was attached later than what it won over.
    Later,
}

impl Reason {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Personal => "personal",
            Self::Later => "later",
        }
    }
}

/// A name of an environment, and from where its value comes. Sources are
/// counted from 0, the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winner {
    /// The name.
    pub key: EnvKey,
    /// Whose value it has.
    pub source: usize,
    /// Whose values it has not.
    pub over: Vec<usize>,
}

/// Whether a secret is in the environments of such runs: one that is for the broker only is in
/// those that get placeholders, never where the values themselves are.
pub fn is_received(secret: &Secret, mode: RunMode) -> bool {
    mode == RunMode::Broker || !secret.is_broker_only()
}

/// How strong a secret is in an environment: personal ones come before those of
/// the team, then those attached later before those attached earlier.
pub fn strength(secret: &Secret, attachment: AttachmentId) -> impl Ord + use<> {
    (secret.owner.is_none(), Reverse(attachment))
}

/// Which source wins each name. They come with the names that they have, the
/// strongest first; a name stands where its first winner has it.
pub fn winners<'a>(sources: impl IntoIterator<Item = &'a [EnvKey]>) -> Vec<Winner> {
    let mut winners: Vec<Winner> = Vec::new();
    let mut places = HashMap::new();
    for (source, keys) in sources.into_iter().enumerate() {
        for key in keys {
            if let Some(winner) = places.get(key).and_then(|place: &usize| winners.get_mut(*place)) {
                winner.over.push(source);
            } else {
                places.insert(key, winners.len());
                winners.push(Winner { key: key.clone(), source, over: Vec::new() });
            }
        }
    }
    winners
}

/// What a run was composed of when it was started, the strongest first. The
/// secrets stay these as long as it runs; their values are the present ones
/// whenever it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composition(Vec<Part>);

/// One secret of a [`Composition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The secret.
    pub secret_id: SecretId,
    /// The names that it won at the start.
    pub won: Vec<EnvKey>,
}

impl Composition {
    /// Of these secrets, the strongest first.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets: Vec<_> = secrets.into_iter().collect();
        let mut parts: Vec<_> =
            secrets.iter().map(|secret| Part { secret_id: secret.id, won: Vec::new() }).collect();
        for winner in winners(secrets.iter().map(|secret| secret.env_keys.as_slice())) {
            if let Some(part) = parts.get_mut(winner.source) {
                part.won.push(winner.key);
            }
        }
        Self(parts)
    }

    /// Its secrets, the strongest first.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// As it is stored: a line a secret, its id and the names with a space
    /// before each.
    pub fn to_lines(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(Part::line).collect();
        lines.join("\n")
    }

    /// From its stored form.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_lines(lines: &str) -> Result<Self, Invalid> {
        lines
            .split('\n')
            .filter(|line| !line.is_empty())
            .map(Part::from_line)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Part {
    fn line(&self) -> String {
        let mut line = self.secret_id.to_string();
        for key in &self.won {
            line.push(' ');
            line.push_str(key.as_str());
        }
        line
    }

    fn from_line(line: &str) -> Result<Self, Invalid> {
        let mut words = line.split(' ');
        let secret_id = SecretId::parse(words.next().unwrap_or_default())?;
        Ok(Self { secret_id, won: words.map(EnvKey::parse).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::{TeamId, UserId};
    use crate::text::SecretName;
    use uuid::Uuid;

    /// A UUID of version 7 with nothing in it.
    const FIRST: u128 = 0x7000_8000_0000_0000_0000;

    fn keys(names: &[&str]) -> Vec<EnvKey> {
        names.iter().map(|name| EnvKey::parse(*name).unwrap()).collect()
    }

    fn secret(number: u128, personal: bool, names: &[&str]) -> Secret {
        let user = UserId::from_uuid(Uuid::from_u128(9));
        Secret {
            id: SecretId::from_uuid(Uuid::from_u128(FIRST + number)),
            team_id: TeamId::from_uuid(Uuid::nil()),
            owner: personal.then_some(user),
            name: SecretName::parse("s").unwrap(),
            service_slug: None,
            env_keys: keys(names),
            version: 1,
            created_by: user,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            deleted_at: None,
            policy: None,
        }
    }

    #[test]
    fn personal_beats_shared_and_then_the_later_attached_wins() {
        let mut attached = [
            (secret(1, false, &["A"]), AttachmentId::from_uuid(Uuid::from_u128(40))),
            (secret(2, true, &["A"]), AttachmentId::from_uuid(Uuid::from_u128(10))),
            (secret(3, false, &["A"]), AttachmentId::from_uuid(Uuid::from_u128(30))),
            (secret(4, true, &["A"]), AttachmentId::from_uuid(Uuid::from_u128(20))),
        ];
        attached.sort_by_key(|(secret, attachment)| strength(secret, *attachment));
        let order: Vec<_> = attached.iter().map(|(secret, _)| secret.id.uuid().as_u128() - FIRST).collect();
        assert_eq!(order, [4, 2, 1, 3]);
    }

    #[test]
    fn each_name_has_one_winner_and_knows_over_whom() {
        let (first, second, third) = (keys(&["A", "B"]), keys(&["B", "C"]), keys(&["B", "A"]));
        let winner = |key: &str, source, over: &[usize]| Winner {
            key: EnvKey::parse(key).unwrap(),
            source,
            over: over.to_vec(),
        };
        assert_eq!(
            winners([&first[..], &second, &third]),
            [winner("A", 0, &[2]), winner("B", 0, &[1, 2]), winner("C", 1, &[])]
        );
        assert_eq!(winners([]), []);
    }

    #[test]
    fn a_composition_is_stored_as_lines() {
        let composed = Composition::new([
            &secret(1, true, &["A", "B"]),
            &secret(2, false, &["B"]),
            &secret(3, false, &["C"]),
        ]);
        let won: Vec<_> = composed.parts().iter().map(|part| part.won.clone()).collect();
        assert_eq!(won, [keys(&["A", "B"]), keys(&[]), keys(&["C"])]);
        assert_eq!(Composition::from_lines(&composed.to_lines()), Ok(composed));
        assert_eq!(Composition::from_lines(""), Ok(Composition::default()));
        for bad in ["A", "00000000-0000-7000-8000-000000000001 a", "00000000-0000-7000-8000-000000000001  A"]
        {
            assert!(Composition::from_lines(bad).is_err(), "{bad}");
        }
    }
}
