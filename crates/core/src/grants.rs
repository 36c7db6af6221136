//! What a key or link is good for. The rule that nobody gives more than they
//! have is [`Grant::within`], and stands nowhere else.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::ids::AgentId;
use crate::roles::Role;
use crate::text::Invalid;

/// A kind of act that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// List and look at secrets; never their values.
    SecretsRead,
    /// Create, change and delete secrets.
    SecretsWrite,
    /// Start runs, which is to read the values of what is attached.
    RunsStart,
    /// Look at the team and its members.
    TeamRead,
    /// Change members, keys and the team, and look at them.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::SecretsRead, Self::SecretsWrite, Self::RunsStart, Self::TeamRead, Self::Admin];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecretsRead => "secrets:read",
            Self::SecretsWrite => "secrets:write",
            Self::RunsStart => "runs:start",
            Self::TeamRead => "team:read",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether this very one is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// From names with one space between them; `None` when one is unknown.
    pub fn parse(names: &str) -> Option<Self> {
        names.split(' ').filter(|name| !name.is_empty()).map(Scope::from_name).collect()
    }

    /// Its scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }

    /// The same without this one.
    #[must_use]
    pub const fn without(self, scope: Scope) -> Self {
        Self(self.0 & !scope.bit())
    }

    /// Whether they allow what asks for this one: who may change the team may
    /// look at it.
    pub const fn allow(self, scope: Scope) -> bool {
        self.effective().contains(scope)
    }

    /// Whether these allow nothing that those don't.
    pub const fn within(self, others: Self) -> bool {
        self.0 & !others.effective().0 == 0
    }

    const fn effective(self) -> Self {
        if self.contains(Scope::Admin) { Self(self.0 | Scope::TeamRead.bit()) } else { self }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// The names in the order of [`Scope::ALL`], one space between them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<_> = self.iter().map(Scope::name).collect();
        f.write_str(&named.join(" "))
    }
}

/// The networks from which a key may be used, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// The most networks in a list.
    pub const MAX: usize = 64;

    /// Takes 1 to [`Self::MAX`] networks such as `10.0.0.0/8` or `2001:db8::/32`;
    /// a plain address is a network of one.
    ///
    /// # Errors
    /// When there are none, too many, or one isn't a network, or could be read
    /// in two ways.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        Self::collect(networks.into_iter().map(network))
    }

    fn collect(networks: impl Iterator<Item = Option<IpNet>>) -> Result<Self, Invalid> {
        const REFUSED: Invalid = Invalid::new(
            "must be 1 to 64 networks such as 10.0.0.0/8 or 2001:db8::/32, without leading zeros, \
             and none of IPv4 written as IPv6",
        );
        let networks: Vec<_> = networks.collect::<Option<_>>().ok_or(REFUSED)?;
        if networks.is_empty() || networks.len() > Self::MAX { Err(REFUSED) } else { Ok(Self(networks)) }
    }

    /// From the text of [`fmt::Display`].
    ///
    /// # Errors
    /// When it is none.
    pub fn from_stored(text: &str) -> Result<Self, Invalid> {
        Self::collect(text.split(' ').map(|text| text.parse().ok()))
    }

    /// The networks, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether an address lies in one of them. An IPv4 address that came over
    /// an IPv6 socket is the IPv4 address.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Whether each of them lies in one of those.
    fn within(&self, others: &Self) -> bool {
        self.0.iter().all(|network| others.0.iter().any(|other| other.contains(network)))
    }
}

/// A network from its text. Leading zeros are octal to others, and a network
/// of IPv4 written as IPv6 would match nothing, because addresses are looked at
/// as what they are.
fn network(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    };
    let (address, length) = (address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
    let plain = address.to_canonical() == address && length.to_string() == prefix;
    plain.then(|| IpNet::new(address, length).ok()).flatten().map(|network| network.trunc())
}

/// With one space between them.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<_> = self.0.iter().map(IpNet::to_string).collect();
        f.write_str(&networks.join(" "))
    }
}

/// The agents whose runs a key may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents(Vec<AgentId>);

impl Agents {
    /// The most agents in a list.
    pub const MAX: usize = 64;

    /// Takes 1 to [`Self::MAX`] agents.
    ///
    /// # Errors
    /// When there are none or too many.
    pub fn new(agents: Vec<AgentId>) -> Result<Self, Invalid> {
        if agents.is_empty() || agents.len() > Self::MAX {
            return Err(Invalid::new("must name 1 to 64 agents by their ids"));
        }
        Ok(Self(agents))
    }

    /// The agents, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = AgentId> {
        self.0.iter().copied()
    }

    /// From stored bytes: 16 for each.
    ///
    /// # Errors
    /// When they aren't ids.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::new(bytes.chunks(16).map(AgentId::from_slice).collect::<Result<_, _>>()?)
    }

    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|agent| *agent.as_bytes()).collect()
    }
}

/// In which respect a grant is wider than the one that it would come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wider(pub &'static str);

/// What a key or link is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The most it may do; the user's present role may lower it.
    pub role: Role,
    /// What kinds of act it is for.
    pub scopes: Scopes,
    /// Whose runs it may start; `None`: any agent's.
    pub agents: Option<Agents>,
    /// From where it may be used, by the caller's address: behind a reverse proxy
    /// that isn't trusted, the proxy's. `None`: from anywhere.
    pub networks: Option<Networks>,
    /// From when on it is refused, if ever.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// What a link is good for that is used once: the one act that it is for.
    pub(crate) fn of_link(expires_at: Timestamp) -> Self {
        Self {
            role: Role::Member,
            scopes: Scopes::default(),
            agents: None,
            networks: None,
            expires_at: Some(expires_at),
        }
    }

    /// Refuses what gives more than `giver` has, in any respect.
    ///
    /// # Errors
    /// Which respect it is.
    pub fn within(&self, giver: &Self) -> Result<(), Wider> {
        let wider = if self.role > giver.role {
            "the role is higher than yours"
        } else if !self.scopes.within(giver.scopes) {
            "your key lacks one of these scopes"
        } else if !narrower(self.agents.as_ref(), giver.agents.as_ref(), Agents::within) {
            "your key is for certain agents only"
        } else if !narrower(self.networks.as_ref(), giver.networks.as_ref(), Networks::within) {
            "your key is for certain networks only"
        } else if !narrower(self.expires_at.as_ref(), giver.expires_at.as_ref(), |mine, end| mine <= end) {
            "your key ends earlier"
        } else {
            return Ok(());
        };
        Err(Wider(wider))
    }
}

impl Agents {
    fn within(&self, others: &Self) -> bool {
        self.0.iter().all(|agent| others.0.contains(agent))
    }
}

/// Whether a bound lies within another; no bound is the widest.
fn narrower<T>(mine: Option<&T>, theirs: Option<&T>, within: impl Fn(&T, &T) -> bool) -> bool {
    match (mine, theirs) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(mine), Some(theirs)) => within(mine, theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestError, TestRunner};
    use uuid::Uuid;

    /// Something that a grant allows or not.
    #[derive(Clone, Copy, Debug)]
    enum Right {
        Acting(Role),
        Doing(Scope),
        Running(AgentId),
        /// `None`: from an address that nobody knows.
        From(Option<IpAddr>),
        At(Timestamp),
    }

    /// As [`crate::app`] looks at a grant when somebody comes with it.
    fn gives(grant: &Grant, right: Right) -> bool {
        match right {
            Right::Acting(role) => role <= grant.role,
            // Who may change the team may look at it.
            Right::Doing(Scope::TeamRead) => {
                grant.scopes.contains(Scope::TeamRead) || grant.scopes.contains(Scope::Admin)
            }
            Right::Doing(scope) => grant.scopes.contains(scope),
            Right::Running(agent) => {
                grant.agents.as_ref().is_none_or(|agents| agents.iter().any(|one| one == agent))
            }
            Right::From(from) => {
                let Some(networks) = &grant.networks else { return true };
                from.is_some_and(|from| networks.contain(from))
            }
            Right::At(now) => grant.expires_at.is_none_or(|end| now < end),
        }
    }

    /// Networks that lie in one another or apart; none is the sum of others.
    const NETWORKS: [&str; 10] = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.1.2.3",
        "192.168.0.0/16",
        "::/0",
        "2001:db8::/32",
        "2001:db8:1::/48",
        "2001:db8:1::1",
    ];

    /// One address in each of them that is in none of the narrower ones, and
    /// one that came over an IPv6 socket.
    const ADDRESSES: [&str; 11] = [
        "8.8.8.8",
        "10.9.9.9",
        "10.1.9.9",
        "10.1.2.9",
        "10.1.2.3",
        "192.168.7.7",
        "fe80::1",
        "2001:db8:9::9",
        "2001:db8:1::9",
        "2001:db8:1::1",
        "::ffff:10.1.2.3",
    ];

    fn agent(number: u128) -> AgentId {
        AgentId::from_uuid(Uuid::from_u128(number))
    }

    /// Enough rights to tell any two of the grants below apart.
    fn rights() -> impl Iterator<Item = Right> {
        let addresses = ADDRESSES.map(|address| Some(address.parse().unwrap()));
        let times = [0, 1, 2, 3, i64::MAX].map(Timestamp::from_millis);
        let roles = Role::ALL.into_iter().map(Right::Acting);
        roles
            .chain(Scope::ALL.into_iter().map(Right::Doing))
            .chain((0..4).map(|number| Right::Running(agent(number))))
            .chain(addresses.into_iter().chain([None]).map(Right::From))
            .chain(times.into_iter().map(Right::At))
    }

    /// Nothing, or some of these.
    fn some_of<T: Clone + fmt::Debug + 'static>(these: Vec<T>) -> impl Strategy<Value = Option<Vec<T>>> {
        proptest::option::weighted(0.7, proptest::sample::subsequence(these, 1..=3).prop_shuffle())
    }

    fn grant() -> impl Strategy<Value = Grant> {
        // The agent of number 3 is in no list, so that a full one isn't the same as none.
        let agents =
            some_of((0..3).map(agent).collect()).prop_map(|some| some.map(|some| Agents::new(some).unwrap()));
        let networks =
            some_of(NETWORKS.to_vec()).prop_map(|some| some.map(|some| Networks::parse(some).unwrap()));
        let ends =
            [None, Some(1), Some(2), Some(3), Some(i64::MAX)].map(|end| end.map(Timestamp::from_millis));
        let role = proptest::sample::select(Role::ALL.to_vec());
        (role, 0..32_u8, agents, networks, proptest::sample::select(ends.to_vec())).prop_map(
            |(role, scopes, agents, networks, expires_at)| Grant {
                role,
                scopes: Scopes(scopes),
                agents,
                networks,
                expires_at,
            },
        )
    }

    /// Two grants that differ in some respects only, so that one lies within
    /// the other often enough.
    fn pair() -> impl Strategy<Value = (Grant, Grant)> {
        (grant(), grant(), any::<[bool; 5]>()).prop_map(
            |(one, other, [role, scopes, agents, networks, ends])| {
                let mixed = Grant {
                    role: if role { one.role } else { other.role },
                    scopes: if scopes { one.scopes } else { other.scopes },
                    agents: if agents { one.agents.clone() } else { other.agents },
                    networks: if networks { one.networks.clone() } else { other.networks },
                    expires_at: if ends { one.expires_at } else { other.expires_at },
                };
                (mixed, one)
            },
        )
    }

    /// Runs over pairs until `within` says something else than their rights do.
    fn disagreement(within: fn(&Grant, &Grant) -> bool) -> Option<(Grant, Grant)> {
        let config = Config { cases: 4_096, failure_persistence: None, ..Config::default() };
        let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
        let checked = TestRunner::new_with_rng(config, rng).run(&pair(), |(mine, giver)| {
            let nothing_more = rights().all(|right| !gives(&mine, right) || gives(&giver, right));
            prop_assert_eq!(within(&mine, &giver), nothing_more);
            Ok(())
        });
        match checked {
            Ok(()) => None,
            Err(TestError::Fail(_, pair)) => Some(pair),
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
    }

    #[test]
    fn a_grant_lies_within_another_exactly_when_it_gives_no_right_more() {
        assert_eq!(disagreement(|mine, giver| mine.within(giver).is_ok()), None);
    }

    #[test]
    fn a_rule_that_forgets_one_respect_is_found() {
        let forgetful: [fn(&Grant, &Grant) -> bool; 6] = [
            |mine, giver| Grant { role: giver.role, ..mine.clone() }.within(giver).is_ok(),
            |mine, giver| Grant { scopes: giver.scopes, ..mine.clone() }.within(giver).is_ok(),
            |mine, giver| Grant { agents: giver.agents.clone(), ..mine.clone() }.within(giver).is_ok(),
            |mine, giver| Grant { networks: giver.networks.clone(), ..mine.clone() }.within(giver).is_ok(),
            |mine, giver| Grant { expires_at: giver.expires_at, ..mine.clone() }.within(giver).is_ok(),
            // One that refuses everything forgets that an equal is allowed.
            |_, _| false,
        ];
        for (respect, within) in forgetful.into_iter().enumerate() {
            assert!(disagreement(within).is_some(), "respect {respect}");
        }
    }

    #[test]
    fn each_respect_is_named() {
        let wide = Grant {
            role: Role::Manager,
            scopes: Scopes::all(),
            agents: None,
            networks: None,
            expires_at: None,
        };
        let agents = |number| Some(Agents::new(vec![agent(number)]).unwrap());
        let networks = |text| Some(Networks::parse([text]).unwrap());
        let narrow = Grant {
            role: Role::Member,
            scopes: Scopes::default(),
            agents: agents(1),
            networks: networks("10.0.0.0/8"),
            expires_at: Some(Timestamp::from_millis(1)),
        };
        assert_eq!(narrow.within(&wide), Ok(()));
        let cases = [
            (Grant { role: Role::Builder, ..narrow.clone() }, "the role is higher than yours"),
            (
                Grant { scopes: [Scope::Admin].into_iter().collect(), ..narrow.clone() },
                "your key lacks one of these scopes",
            ),
            (Grant { agents: agents(2), ..narrow.clone() }, "your key is for certain agents only"),
            (
                Grant { networks: networks("11.0.0.0/8"), ..narrow.clone() },
                "your key is for certain networks only",
            ),
            (Grant { expires_at: None, ..narrow.clone() }, "your key ends earlier"),
        ];
        for (wider, respect) in cases {
            assert_eq!(wider.within(&narrow), Err(Wider(respect)));
        }
    }

    #[test]
    fn whoever_may_change_the_team_may_look_at_it() {
        let only = |scope| [scope].into_iter().collect::<Scopes>();
        for given in Scope::ALL {
            for asked in Scope::ALL {
                let allowed = given == asked || (given, asked) == (Scope::Admin, Scope::TeamRead);
                assert_eq!(only(given).allow(asked), allowed, "{given:?} {asked:?}");
                assert_eq!(only(asked).within(only(given)), allowed, "{given:?} {asked:?}");
            }
            assert!(!Scopes::all().without(given).contains(given));
        }
    }

    #[test]
    fn scopes_round_trip_as_text() {
        for bits in 0..32 {
            let scopes = Scopes(bits);
            assert_eq!(Scopes::parse(&scopes.to_string()), Some(scopes));
            assert_eq!(scopes.iter().collect::<Scopes>(), scopes);
        }
        assert_eq!(Scopes::all().to_string(), "secrets:read secrets:write runs:start team:read admin");
        assert_eq!(Scopes::parse("secrets:read everything"), None);
        assert_eq!(Scopes::parse("Admin"), None);
    }

    #[test]
    fn networks_are_canonical() {
        let networks = Networks::parse(["10.1.2.3/8", "::ffff:192.0.2.1", "2001:DB8::1/32"]).unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8 192.0.2.1/32 2001:db8::/32");
        assert_eq!(Networks::from_stored(&networks.to_string()), Ok(networks.clone()));
        for (address, inside) in
            [("10.255.0.1", true), ("::ffff:10.255.0.1", true), ("11.0.0.1", false), ("::1", false)]
        {
            assert_eq!(networks.contain(address.parse().unwrap()), inside, "{address}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0 /8", "localhost", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(Networks::parse([bad]).is_err(), "{bad:?}");
        }
        assert!(Networks::parse([]).is_err());
        assert!(Networks::parse(["10.0.0.1"; Networks::MAX]).is_ok());
        assert!(Networks::parse(["10.0.0.1"; Networks::MAX + 1]).is_err());
    }

    #[test]
    fn a_network_that_others_read_otherwise_or_that_matches_nothing_is_refused() {
        for bad in [
            "010.0.0.0/8",
            "10.0.0.01/32",
            "010.0.0.1",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "0x0a.0.0.0/8",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.0/8",
            "::ffff:0:0/96",
            "::ffff:a00:1/128",
        ] {
            assert!(Networks::parse([bad]).is_err(), "{bad:?}");
            assert!(Networks::parse(["10.0.0.0/8", bad]).is_err(), "{bad:?}");
        }
        for good in ["10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/32", "::/0", "64:ff9b::/96", "::1/128"] {
            assert_eq!(Networks::parse([good]).unwrap().to_string(), good);
        }
    }

    #[test]
    fn agents_are_stored_as_their_bytes() {
        let agents = Agents::new(vec![agent(7), agent(1)]).unwrap();
        assert_eq!(Agents::from_slice(&agents.to_bytes()), Ok(agents.clone()));
        assert!(Agents::from_slice(&agents.to_bytes()[1..]).is_err());
        assert!(Agents::new(Vec::new()).is_err());
        assert!(Agents::new(vec![agent(1); Agents::MAX + 1]).is_err());
    }
}
