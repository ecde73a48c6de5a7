//! Secrets that a recipe sends are bound to the hosts that it spells out, if they have none
//! yet and its publisher may change secrets.

use sqlx::PgConnection;

use super::{refused::fields, shown::BoundSecret};
use crate::{
    api::{Problem, Result},
    base::{AgencyId, MAX_SECRET_HOSTS, SecretHost},
    catalog::{
        self,
        model::{Recipe, SecretScope},
        sends::{self, Send, To},
    },
    locker::{self, Bindable, KeyProbe, Locker, LockerError},
};

/// What publishing did to the secrets, and what is to be said of them.
#[derive(Debug, Default)]
pub struct Bindings {
    pub bound: Vec<BoundSecret>,
    pub warnings: Vec<catalog::Problem>,
}

/// Whoever publishes, and what it takes to bind.
pub struct Publisher<'a> {
    pub locker: &'a Locker,
    pub probe: &'a dyn KeyProbe,
    pub agency: AgencyId,
    /// Whether the publisher may change secrets.
    pub may_bind: bool,
}

/// `tx` publishes the recipe.
///
/// # Errors
/// 422 if the recipe sends a secret that has no hosts and the publisher may not give it any.
pub async fn bind(tx: &mut PgConnection, recipe: &Recipe, by: &Publisher<'_>) -> Result<Bindings> {
    let (sends, probe) = (sends::of(recipe), by.probe);
    let mut names: Vec<String> = sends.iter().map(|send| send.secret.key_name().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    // A provider's key is the provider's, and bound by that.
    let (of_providers, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| probe.provider(name).is_some());
    let mut bindings = Bindings::default();
    for name in of_providers {
        let host = probe.provider(&name).and_then(|provider| probe.host(&provider));
        warn_of_others(&mut bindings, &name, host.as_slice(), sends.iter().filter(|send| is_of(send, &name)), probe);
    }
    let mut refused = Vec::new();
    for secret in locker::bindable(tx, &names).await? {
        let own: Vec<&Send> = sends.iter().filter(|send| is_sent(send, &secret)).collect();
        if !secret.hosts.is_empty() {
            warn_of_others(&mut bindings, &secret.key_name, &secret.hosts, own.into_iter(), probe);
        } else if let Some(first) = own.iter().find(|send| leaves(send, probe)) {
            if by.may_bind {
                give_hosts(tx, by, &secret, (first, hosts(&own, probe)), &mut bindings).await?;
            } else {
                refused.push(catalog::Problem::new(first.path.clone(), not_yours(&secret.key_name)));
            }
        }
    }
    if refused.is_empty() {
        return Ok(bindings);
    }
    Err(Problem::validation(fields(&refused)).with_code("secret_unbound"))
}

async fn give_hosts(
    tx: &mut PgConnection,
    by: &Publisher<'_>,
    secret: &Bindable,
    (first, hosts): (&Send, Vec<SecretHost>),
    bindings: &mut Bindings,
) -> Result<()> {
    let why = match hosts.len() {
        0 => "the recipe does not spell out where it goes".to_owned(),
        1..=MAX_SECRET_HOSTS => match by.locker.bind(tx, by.agency, secret.id, &hosts).await {
            Ok(()) => {
                bindings.bound.push(BoundSecret::new(secret, &hosts));
                return Ok(());
            }
            Err(LockerError::Tampered) => "its stored value cannot be opened".to_owned(),
            Err(error) => return Err(error.into()),
        },
        many => format!("the recipe sends it to {many} hosts, and one secret may have {MAX_SECRET_HOSTS}"),
    };
    let name = &secret.key_name;
    let message = format!(
        "the secret {name} is bound to no host, and {why}: give it hosts with PUT /secrets/{name}, with its value and \
         `hosts`; until then it is not sent and the step fails"
    );
    bindings.warnings.push(catalog::Problem::new(first.path.clone(), message));
    Ok(())
}

fn not_yours(name: &str) -> String {
    format!(
        "the secret {name} is bound to no host, and you may not bind it: let somebody with the scope secrets:write give \
         it hosts with PUT /secrets/{name}, or publish this recipe"
    )
}

/// Places of the recipe that the secret will not be sent to.
fn warn_of_others<'a>(
    bindings: &mut Bindings,
    name: &str,
    hosts: &[SecretHost],
    sends: impl Iterator<Item = &'a Send>,
    probe: &dyn KeyProbe,
) {
    for send in sends {
        let Some(host) = host(send, probe).filter(|host| !hosts.contains(host)) else { continue };
        let message = format!(
            "the secret {name} may not be sent to {host}, so this step will fail: add the host with PUT \
             /secrets/{name}, or, if it is a model provider's key, store what is for this host under another name"
        );
        let warning = catalog::Problem::new(send.path.clone(), message);
        if !bindings.warnings.contains(&warning) {
            bindings.warnings.push(warning);
        }
    }
}

fn is_of(send: &Send, name: &str) -> bool {
    send.secret.key_name() == name
}

/// Whether the reference may find this very secret.
fn is_sent(send: &Send, secret: &Bindable) -> bool {
    is_of(send, &secret.key_name) && (secret.team_id.is_some() || send.secret.scope() == SecretScope::TeamThenAgency)
}

/// A provider without a host is in this process, or there is none of that name.
fn leaves(send: &Send, probe: &dyn KeyProbe) -> bool {
    !matches!(send.to, To::Provider(_)) || host(send, probe).is_some()
}

fn host(send: &Send, probe: &dyn KeyProbe) -> Option<SecretHost> {
    match &send.to {
        To::Host(host) => Some(host.clone()),
        To::Provider(name) => probe.host(name),
        To::Unknown => None,
    }
}

fn hosts(sends: &[&Send], probe: &dyn KeyProbe) -> Vec<SecretHost> {
    let mut hosts = Vec::new();
    for host in sends.iter().filter_map(|send| host(send, probe)) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}
