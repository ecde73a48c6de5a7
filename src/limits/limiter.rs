//! The limits of an installation: who has to wait, by what was given out before and what Redis says.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::aio::ConnectionManager;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    bucket::{Bucket, Sized},
    local::Local,
    shared::{Answer, Shared},
    slice::{Held, Slices, Taken},
};
use crate::{base::network, config::Limits};

/// A Redis that does not answer within this is away.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
/// It is asked again after this.
const AWAY_FOR: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Passes where nobody can count.
    Read,
    /// Is counted by this process alone where nobody else can.
    Write,
}

/// Too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", .retry_after.as_secs())]
pub struct Refused {
    /// Whole seconds, at least one.
    pub retry_after: Duration,
}

impl Refused {
    fn after(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Duration::from_secs(seconds.max(1)) }
    }
}

/// The limits of an installation; cheap to clone.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    shared: Shared,
    local: Local,
    slices: Slices,
    away_until: Mutex<Option<Instant>>,
}

impl Limiter {
    #[must_use]
    pub fn new(limits: Limits, redis: ConnectionManager) -> Self {
        Self(Arc::new(Inner {
            limits,
            shared: Shared::new(redis),
            local: Local::default(),
            slices: Slices::default(),
            away_until: Mutex::new(None),
        }))
    }

    /// Counts requests of somebody who signed in, by its user or API key and by its
    /// agency. A batch counts for as many as it holds.
    ///
    /// # Errors
    /// One of the two has none left, or fewer than that.
    pub async fn admit(&self, agency: Uuid, caller: Uuid, access: Access, requests: u32) -> Result<(), Refused> {
        let Limits { user_per_minute, agency_per_minute, .. } = self.0.limits;
        let buckets = [(Bucket::Caller(caller), user_per_minute), (Bucket::Agency(agency), agency_per_minute)];
        self.0.admit(&buckets, access, requests).await
    }

    /// Counts a request of somebody who did not sign in.
    ///
    /// # Errors
    /// The address has none left.
    pub async fn admit_address(&self, address: IpAddr) -> Result<(), Refused> {
        let bucket = Bucket::Address(network::subscriber(address));
        self.0.admit(&[(bucket, self.0.limits.address_per_minute)], Access::Write, 1).await
    }
}

impl Inner {
    /// The first bucket is the caller's own: what it was given is kept under it.
    async fn admit(&self, buckets: &[Sized], access: Access, requests: u32) -> Result<(), Refused> {
        let Some(&(own, _)) = buckets.first() else { return Ok(()) };
        // A batch that is larger than the limit takes all of it, once it is there.
        let requests = requests.min(smallest(buckets));
        let held = self.slices.of(own);
        if let Some(taken) = held.take(requests) {
            return refused_or(taken);
        }
        // One of a caller's requests asks, and the others wait for what it brings.
        let _turn = held.turn().await;
        if let Some(taken) = held.take(requests) {
            return refused_or(taken);
        }
        match self.ask(&held, buckets, requests).await {
            Some(Answer::Granted(granted)) => {
                held.refill(granted - requests, granted);
                Ok(())
            }
            Some(Answer::Refused(wait)) => {
                if requests == 1 {
                    held.refuse(wait);
                }
                Err(Refused::after(wait))
            }
            None if access == Access::Read => Ok(()),
            None => self.local.take(buckets, requests).map_err(Refused::after),
        }
    }

    /// `None` while Redis is away.
    async fn ask(&self, held: &Held, buckets: &[Sized], requests: u32) -> Option<Answer> {
        if self.away_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let want = held.next_slice(smallest(buckets)).max(requests);
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.shared.take(buckets, requests, want)).await;
        let error = match answer {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", ANSWER_WITHIN.as_millis()),
        };
        tracing::warn!(error, "Redis is away: requests are counted by each process for itself");
        metrics::counter!("rate_limits_redis_away_total").increment(1);
        *self.away_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AWAY_FOR);
        None
    }
}

fn smallest(buckets: &[Sized]) -> u32 {
    buckets.iter().map(|(_, size)| *size).min().unwrap_or(1).max(1)
}

fn refused_or(taken: Taken) -> Result<(), Refused> {
    match taken {
        Taken::Granted => Ok(()),
        Taken::Refused(wait) => Err(Refused::after(wait)),
    }
}
