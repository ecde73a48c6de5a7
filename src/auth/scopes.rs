//! What a credential may be used for: named permissions, narrower than a role.

/// Every permission, as API keys are given them. To add one: a line here, and
/// `Member<Name>` or `Admin<Name>` in the handlers that need it.
macro_rules! scopes {
    ($($name:ident $text:literal $meaning:literal;)+) => {
        /// One permission. A person has all of them, an API key those that it was given.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Scope {
            $(#[doc = $meaning] $name,)+
        }

        impl Scope {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As in requests and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it allows, for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }

        /// The permissions as types, for a handler's argument.
        pub mod need {
            use super::{Need, Scope};
            $(
                #[doc = $meaning]
                #[derive(Debug, Clone, Copy)]
                pub enum $name {}
                impl Need for $name {
                    const SCOPE: Scope = Scope::$name;
                }
            )+
        }
    };
}

scopes! {
    AgencyRead "agency:read" "Read the agency and its settings";
    AgencyWrite "agency:write" "Change the agency and its settings";
    TeamsRead "teams:read" "Read teams";
    TeamsWrite "teams:write" "Make, rename and delete teams";
    PeopleRead "people:read" "Read people and invites";
    SubscriptionsRead "subscriptions:read" "Read seats and their use";
    SubscriptionsWrite "subscriptions:write" "Buy and give back seats";
    AgentsRead "agents:read" "Read agents";
    AgentsWrite "agents:write" "Hire, change and retire agents";
    CatalogRead "catalog:read" "Read roles, cookbooks and recipes";
    RecipesWrite "recipes:write" "Check and publish recipes";
    SecretsRead "secrets:read" "Read the names of secrets, never their values";
    SecretsWrite "secrets:write" "Store, rotate and delete secrets";
    TasksRead "tasks:read" "Read tasks, their steps and outputs";
    TasksWrite "tasks:write" "Run and cancel tasks";
    ApprovalsRead "approvals:read" "Read what tasks ask of people";
    ApprovalsWrite "approvals:write" "Decide what tasks ask";
    QueueRead "queue:read" "Read the queue's depth and rates";
    AuditRead "audit:read" "Read the ledger";
    QueueWrite "queue:write" "Pause and resume work in the queue";
    WebhooksRead "webhooks:read" "Read webhooks and their deliveries, never their secrets";
    WebhooksWrite "webhooks:write" "Make, change and delete webhooks, and send deliveries again";
}

/// A permission as a type.
pub trait Need: Send + Sync + 'static {
    const SCOPE: Scope;
}

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", list())]
pub struct UnknownScope;

fn list() -> String {
    Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u32);

const _: () = assert!(Scope::ALL.len() <= 32, "a permission needs a bit of its own");

impl Scopes {
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// In the order of their definition.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(scope: Scope) -> u32 {
    1 << scope as u32
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_comes_back_as_it_was_written_and_others_are_named() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        let error = "tasks:delete".parse::<Scope>().unwrap_err().to_string();
        assert!(error.contains("tasks:read, tasks:write"), "{error}");
    }

    #[test]
    fn a_set_has_what_it_was_given_and_no_more() {
        let set: Scopes = [Scope::AuditRead, Scope::TasksRead, Scope::TasksRead].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Scope::TasksRead, Scope::AuditRead]);
        assert!(!set.has(Scope::TasksWrite) && !set.is_empty());
        let all: Scopes = Scope::ALL.iter().copied().collect();
        assert!(all.iter().eq(Scope::ALL.iter().copied()));
    }
}
