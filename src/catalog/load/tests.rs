//! Loading folders, against a real database.

use std::{fs, path::PathBuf};

use sqlx::PgPool;

use super::*;
use crate::{
    base::{Actor, AgencyId, Role, SystemClock, TenantScope, UserId},
    catalog::lookup::{RecipeRef, resolve},
};

/// A folder of its own for each test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("teamai-catalog-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(path.join("book")).unwrap();
        let dir = Self(path);
        dir.write("cookbook.yaml", "cookbook: { id: book, name: Book, version: 1.0.0, recipes: [r, absent], pricing: { base_price: 9.90 }, subscription_limits: { max_pages_per_crawl: 7 } }");
        dir
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join("book").join(file), text).unwrap();
    }

    fn recipe(&self, file: &str, version: &str, description: &str) {
        self.write(file, &format!("recipe: {{ id: r, name: R, version: {version}, description: {description}, workflow: {{ nodes: [{{ id: a, component: Transform }}] }} }}"));
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn load(pool: &PgPool, dir: &Dir) -> Result<Loaded, LoadError> {
    load_dir(pool, &dir.0, &|name| name == "Transform", &SystemClock).await
}

fn somebody() -> TenantScope {
    let now = SystemClock.now();
    TenantScope::verified(AgencyId::at(now), Actor::Person(UserId::at(now)), Role::AgencyAdmin, None)
}

async fn newest(pool: &PgPool, version: Option<&str>) -> (String, Option<String>) {
    let agency = somebody();
    let found = resolve(&agency, pool, &RecipeRef::parse("r").unwrap(), version).await.unwrap().unwrap();
    assert_eq!(found.recipe.version.as_str(), found.version);
    assert_eq!(found.limits().max_pages_per_crawl, Some(7));
    (found.version, found.recipe.description.clone())
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_second_load_changes_nothing(pool: PgPool) {
    let dir = Dir::new("twice");
    dir.recipe("r.yaml", "1.0", "one");
    let loaded = load(&pool, &dir).await.unwrap();
    assert_eq!(loaded.created, ["book", "r 1.0"]);
    let absent: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(absent, ["book/cookbook.yaml: cookbook.recipes[1]: there is no recipe `absent`"]);
    let loaded = load(&pool, &dir).await.unwrap();
    assert_eq!((loaded.created.len(), loaded.unchanged), (0, vec!["book".to_owned(), "r 1.0".to_owned()]));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_changed_file_is_a_new_version_each_time(pool: PgPool) {
    let dir = Dir::new("changed");
    for (description, version) in
        [("one", "1.0.0"), ("two", "1.0.1"), ("two", "1.0.1"), ("one", "1.0.2"), ("one", "1.0.2")]
    {
        dir.recipe("r.yaml", "1.0.0", description);
        load(&pool, &dir).await.unwrap();
        assert_eq!(newest(&pool, None).await, (version.to_owned(), Some(description.to_owned())));
    }
    assert_eq!(newest(&pool, Some("1.0")).await, ("1.0.0".to_owned(), Some("one".to_owned())));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_new_version_does_not_take_one_that_has_its_own_file(pool: PgPool) {
    let dir = Dir::new("beside");
    dir.recipe("r.yaml", "1.0.0", "one");
    dir.recipe("r2.yaml", "1.0.1", "other");
    load(&pool, &dir).await.unwrap();
    assert_eq!(load(&pool, &dir).await.unwrap().unchanged.len(), 3);
    dir.recipe("r.yaml", "1.0.0", "changed");
    let loaded = load(&pool, &dir).await.unwrap();
    let published: Vec<(&str, &str)> =
        loaded.new_versions.iter().map(|new| (new.declared.as_str(), new.published.as_str())).collect();
    assert_eq!(published, [("1.0.0", "1.0.2")]);
    assert_eq!(load(&pool, &dir).await.unwrap().new_versions, []);
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn one_bad_file_stops_everything_and_every_problem_is_told(pool: PgPool) {
    let dir = Dir::new("bad");
    dir.recipe("good.yaml", "1.0.0", "one");
    dir.write("bad.yaml", "recipe: { id: b, name: B, version: 1, workflow: { nodes: [{ id: a, component: Nope }] } }");
    dir.write("worse.yml", "recipe: [");
    let error = load(&pool, &dir).await.unwrap_err().to_string();
    for words in [
        "book/bad.yaml: recipe.version",
        "book/bad.yaml: recipe.workflow.nodes[0].component",
        "book/worse.yml: not readable",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let agency = somebody();
    assert!(resolve(&agency, &pool, &RecipeRef::parse("r").unwrap(), None).await.unwrap().is_none());
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn cookbooks_are_brought_up_to_date(pool: PgPool) {
    let dir = Dir::new("cookbook");
    load(&pool, &dir).await.unwrap();
    dir.write("cookbook.yaml", "cookbook: { id: book, name: Book, version: 1.1.0, pricing: { base_price: 12.50 } }");
    assert_eq!(load(&pool, &dir).await.unwrap().updated, ["book"]);
    let slice = crate::base::Page { limit: 50, before: None };
    let agency = somebody();
    let roles = crate::catalog::listing::agent_roles(&agency, &pool, Some("available"), slice).await.unwrap();
    assert_eq!((roles.items.len(), roles.items[0].base_price.to_string().as_str()), (1, "12.5000000000"));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn what_is_shipped_loads(pool: PgPool) {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let loaded = load_dir(&pool, &dir, &|_| true, &SystemClock).await.unwrap();
    assert_eq!((loaded.created.len(), loaded.warnings.len()), (11, 0));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = read(std::path::Path::new("/nowhere/recipes"), &|_| true).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nowhere/recipes"), "{error}");
}
