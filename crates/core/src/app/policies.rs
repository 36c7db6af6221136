//! The policy of a secret: where its values may be used through the broker. While a policy
//! says that they never get into an environment, nobody who doesn't know them can make them.

use super::{App, Ask, Error, Planned};
use crate::access::Action;
use crate::events::EventKind;
use crate::ids::SecretId;
use crate::policies::Policy;
use crate::rows::Proven;
use crate::secrets::{NewPolicy, Secret};

impl App {
    /// A secret that the caller sees, for its policy ([`Secret::policy_in_force`]).
    ///
    /// # Errors
    /// When the caller doesn't see it.
    pub async fn policy(&self, ask: &Ask, id: SecretId) -> Result<Proven<Secret>, Error> {
        Ok(self.present(ask, Action::ReadPolicy, id).await?.0)
    }

    /// Sets a secret's own policy in the place of the one that it had.
    ///
    /// What keeps values out of environments can only be loosened by who supplies all values
    /// again: they take the place of the old ones, and none of the earlier versions can be
    /// made current again. So loosening shows nobody a value that they don't know.
    ///
    /// # Errors
    /// When the caller may not, the policy is too long, or values are missing, or given
    /// where none are needed.
    pub async fn set_policy(
        &self,
        ask: &Ask,
        id: SecretId,
        new: &NewPolicy,
    ) -> Result<Planned<Proven<Secret>>, Error> {
        let (before, permit) = self.present(ask, Action::SetPolicy, id).await?;
        ask.demands(before.mac())?;
        let policy = Policy::new(new.rules.clone(), new.broker_only);
        let policy = policy.map_err(|refused| Error::Invalid(format!("`rules`: {refused}").into()))?;
        refuse_to_loosen(&before, &policy, new.values.is_some())?;
        let mut after = self.touched(&before);
        let version = match &new.values {
            Some(values) => Some(self.next_version(ask, &mut after, &values.entries()).await?),
            None => None,
        };
        let since = before.policy.as_ref().map_or(0, Policy::oldest_version);
        after.policy = Some(policy.since(version.as_ref().map_or(since, |version| version.number)));
        if after.policy == before.policy && version.is_none() {
            return Ok(Planned::nothing(before));
        }
        Ok(self.replacing(ask, (EventKind::SecretPolicySet, permit), &before, (after, version)))
    }
}

/// Demands the values for what whoever doesn't know them may not do, and for nothing else.
fn refuse_to_loosen(before: &Secret, policy: &Policy, with_values: bool) -> Result<(), Error> {
    match (before.is_loosened_by(policy), with_values) {
        (true, false) => Err(Error::Conflict(
            "this secret is for the broker only: switching that off, or allowing more than its rules do, needs all of \
             its `values` again in the same request, where they take the place of those that are stored",
        )),
        (false, true) => Err(Error::Invalid(
            "`values` are only taken where a secret is for the broker only and this is switched off or its rules are \
             widened; leave them out, and change values with `updateSecret`"
                .into(),
        )),
        _ => Ok(()),
    }
}
