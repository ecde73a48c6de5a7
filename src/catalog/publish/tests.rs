//! Publishing and finding recipes as an agency, under row-level security.

use sqlx::PgPool;

use super::*;
use crate::{
    base::{Actor, Page, Role, RunScope, SystemClock, TeamId, UserId},
    catalog::{check, listing, load, lookup},
};

const SLICE: Page = Page { limit: 2, before: None };

/// The platform's catalogue loaded, two agencies, and a pool of the API's role.
async fn setup(pool: &PgPool) -> (PgPool, TenantScope, TenantScope) {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    load::load_dir(pool, &dir, &|_| true, &SystemClock).await.unwrap();
    let api = store::tests::api_pool(pool).await;
    let mut agencies = Vec::new();
    for name in ["one", "two"] {
        let agency = AgencyId::at(SystemClock.now());
        store::tests::agency(pool, agency, name).await;
        agencies.push(scope_of(agency));
    }
    (api, agencies[0], agencies[1])
}

fn scope_of(agency: AgencyId) -> TenantScope {
    let somebody = Actor::Person(UserId::at(SystemClock.now()));
    TenantScope::verified(agency, somebody, Role::AgencyAdmin, None)
}

fn run_of(scope: TenantScope) -> RunScope {
    RunScope::claimed(scope.agency_id(), TeamId::at(SystemClock.now()))
}

fn checked(slug: &str, version: &str, more: &str) -> Checked {
    let source = format!(
        "recipe:\n  id: {slug}\n  name: Mine {slug}\n  version: {version}\n  workflow: {{ nodes: [{{ id: a, component: Transform }}] }}\n{more}"
    );
    check::recipe(&source, &|_| true).unwrap_or_else(|report| panic!("{report}"))
}

async fn publish(
    scope: &TenantScope,
    pool: &PgPool,
    checked: &Checked,
    clock: &dyn Clock,
) -> Result<Receipt, PublishError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let receipt = super::publish(scope, &mut tx, checked, clock).await?;
    tx.commit().await?;
    Ok(receipt)
}

async fn newest(pool: &PgPool, scope: TenantScope, slug: &str, version: Option<&str>) -> Option<(String, bool)> {
    let found = lookup::resolve(&scope, pool, &lookup::RecipeRef::parse(slug).unwrap(), version).await.unwrap();
    found.map(|found| (found.version.clone(), found.agency_id.is_some()))
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn the_same_again_is_harmless_and_other_content_is_refused(pool: PgPool) {
    let (api, agency, _) = setup(&pool).await;
    let first = publish(&agency, &api, &checked("mine", "1.0.0", ""), &SystemClock).await.unwrap();
    let again = publish(&agency, &api, &checked("mine", "1.0.0", "  # a comment\n"), &SystemClock).await.unwrap();
    assert_eq!((first.created, again.created, first.id), (true, false, again.id));
    for version in ["1.0.0", "1.0"] {
        let error = publish(&agency, &api, &checked("mine", version, "  description: other\n"), &SystemClock)
            .await
            .unwrap_err();
        assert!(matches!(error, PublishError::VersionTaken { .. }), "{error}");
        assert!(error.to_string().contains("new version"));
    }
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn an_agency_sees_the_platforms_and_its_own(pool: PgPool) {
    let (api, one, two) = setup(&pool).await;
    let own = checked("site-audit", "2.0.0-rc.1", "  cookbook: seo-specialist-v1\n");
    let id = publish(&one, &api, &own, &SystemClock).await.unwrap().id;
    assert_eq!(newest(&api, one, "site-audit", None).await, Some(("2.0.0-rc.1".to_owned(), true)));
    assert_eq!(newest(&api, one, "site-audit", Some("1.0")).await, Some(("1.0.0".to_owned(), false)));
    assert_eq!(newest(&api, two, "site-audit", None).await, Some(("1.1.0".to_owned(), false)));
    assert_eq!(newest(&api, two, "site-audit", Some("9.9.9")).await, None);
    assert_eq!(newest(&api, two, "site-audit", Some("latest")).await, None);
    assert!(lookup::get(&run_of(two), &api, id).await.unwrap().is_none(), "another agency's recipe");
    assert_eq!(lookup::get(&run_of(one), &api, id).await.unwrap().unwrap().limits().max_pages_per_crawl, Some(100));
    let versions: Vec<String> =
        lookup::variants(&one, &api, "site-audit").await.unwrap().into_iter().map(|variant| variant.version).collect();
    assert_eq!(versions, ["2.0.0-rc.1", "1.1.0", "1.0.0"]);
    assert_eq!(newest(&api, one, &id.to_string(), None).await, Some(("2.0.0-rc.1".to_owned(), true)));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_release_is_newer_than_any_pre_release(pool: PgPool) {
    let (api, agency, _) = setup(&pool).await;
    for version in ["1.9.0", "1.10.0", "2.0.0-beta", "1.2.0"] {
        publish(&agency, &api, &checked("mine", version, ""), &SystemClock).await.unwrap();
    }
    assert_eq!(newest(&api, agency, "mine", None).await.unwrap().0, "1.10.0");
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn what_is_not_there_is_a_problem_or_a_warning(pool: PgPool) {
    let (api, agency, _) = setup(&pool).await;
    let PublishError::Invalid(problems) =
        publish(&agency, &api, &checked("mine", "1.0.0", "  cookbook: nobody\n"), &SystemClock).await.unwrap_err()
    else {
        panic!("an unknown cookbook was accepted")
    };
    assert_eq!((problems[0].path.as_str(), problems[0].line), ("recipe.cookbook", Some(6)));
    let tested = checked("mine", "1.0.0", "  ab_testing: { variants: [1.0.0, 1.1.0-beta] }\n");
    let warnings = publish(&agency, &api, &tested, &SystemClock).await.unwrap().warnings;
    assert_eq!(
        warnings.iter().map(|warning| warning.path.as_str()).collect::<Vec<_>>(),
        ["recipe.ab_testing.variants[1]"]
    );
    let same_name = checked("other", "1.0.0", "");
    let mut recipe = crate::catalog::model::Recipe::clone(&same_name.recipe);
    recipe.name = tested.recipe.name.clone();
    let same_name = Checked { recipe: recipe.into(), ..same_name };
    let error = publish(&agency, &api, &same_name, &SystemClock).await.unwrap_err();
    assert!(error.to_string().starts_with("recipe.name: another recipe has the name"), "{error}");
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn lists_come_in_pieces_newest_first(pool: PgPool) {
    let (api, one, two) = setup(&pool).await;
    publish(&one, &api, &checked("mine", "1.0.0", "  cookbook: lead-qualifier-v1\n"), &SystemClock).await.unwrap();
    let (mut slugs, mut slice) = (Vec::new(), SLICE);
    loop {
        let page = listing::recipes(&one, &api, Some("published"), Some("lead-qualifier-v1"), slice).await.unwrap();
        slugs.extend(page.items.into_iter().map(|row| row.slug));
        let Some(next) = page.next else { break };
        slice.before = Some(next);
    }
    assert_eq!(slugs, ["mine", "score-lead", "draft-outreach"]);
    let all = Page { limit: 200, before: None };
    assert_eq!(listing::recipes(&one, &api, None, None, all).await.unwrap().items.len(), 9);
    assert_eq!(listing::recipes(&two, &api, None, None, all).await.unwrap().items.len(), 8);
    assert_eq!(listing::recipes(&two, &api, Some("retired"), None, all).await.unwrap().items.len(), 0);
    assert_eq!(listing::cookbooks(&two, &api, all).await.unwrap().items.len(), 3);
    let roles = listing::agent_roles(&two, &api, Some("available"), SLICE).await.unwrap();
    assert_eq!((roles.items.len(), roles.next.is_some()), (2, true));
    let role = listing::agent_role(&two, &api, roles.items[0].id).await.unwrap().unwrap();
    assert_eq!(role.name, roles.items[0].name);
    let recipe = listing::recipe(&one, &api, newest_id(&api, one).await).await.unwrap().unwrap();
    assert_eq!(recipe.document.unwrap()["id"], "mine");
}

async fn newest_id(pool: &PgPool, scope: TenantScope) -> RecipeId {
    listing::recipes(&scope, pool, None, None, SLICE).await.unwrap().items[0].id
}
