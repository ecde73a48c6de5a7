//! What every run uses.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::PgPool;

use super::{cache::Kept, plans::Plans, record::Recorder, room::Rooms, turns::TurnFlush};
use crate::{
    base::{Clock, apart::Apart},
    billing::PriceBooks,
    components::{Component, Shared},
    db::lane::Lane,
    egress,
    locker::Locker,
    providers,
};

/// What every run uses.
pub struct Parts {
    /// As the role `teamai_worker`.
    pub pool: PgPool,
    pub clock: Arc<dyn Clock>,
    pub locker: Arc<Locker>,
    pub prices: Arc<PriceBooks>,
    pub egress: egress::Client,
    pub providers: providers::Registry,
    pub components: BTreeMap<&'static str, Shared>,
    pub recorder: Recorder,
    pub kept: Kept,
    pub turns: Lane<TurnFlush>,
    pub plans: Plans,
    pub apart: Arc<Apart>,
    pub rooms: Arc<Rooms>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("components", &self.components.keys()).finish_non_exhaustive()
    }
}

impl Parts {
    pub fn component(&self, name: &str) -> Option<&dyn Component> {
        self.components.get(name).map(AsRef::as_ref)
    }
}
