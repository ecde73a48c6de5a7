//! Reads the files of a folder and checks them, each alone and all together.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::error::{FileProblem, LoadError};
use crate::catalog::{
    check::{self, Checked, CheckedCookbook, Offered},
    problem::{Problem, Report},
};

/// What a folder holds, all of it valid.
#[derive(Debug, Default)]
pub struct Folder {
    pub cookbooks: Vec<CookbookFile>,
    pub recipes: Vec<RecipeFile>,
    pub warnings: Vec<FileProblem>,
}

#[derive(Debug)]
pub struct CookbookFile {
    pub name: String,
    pub checked: CheckedCookbook,
}

#[derive(Debug)]
pub struct RecipeFile {
    /// Relative to the folder: `seo-specialist-v1/site-audit.yaml`.
    pub name: String,
    pub checked: Checked,
    /// The cookbook whose folder it lies in; the recipe's own word counts more.
    pub cookbook: String,
}

/// Reads everything before it says what is wrong.
///
/// # Errors
/// A file is unreadable or invalid.
pub fn read(dir: &Path, offered: Offered<'_>) -> Result<Folder, LoadError> {
    let mut folder = Folder::default();
    let mut problems = Vec::new();
    for sub in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
        read_cookbook(dir, &sub, offered, &mut folder, &mut problems)?;
    }
    together(&mut folder, &mut problems);
    if problems.is_empty() { Ok(folder) } else { Err(LoadError::Invalid(problems)) }
}

fn read_cookbook(
    root: &Path,
    dir: &Path,
    offered: Offered<'_>,
    folder: &mut Folder,
    problems: &mut Vec<FileProblem>,
) -> Result<(), LoadError> {
    let slug = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for path in entries(dir)?.into_iter().filter(|path| is_document(path)) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        let report = if path.file_stem().is_some_and(|stem| stem == "cookbook") {
            check::cookbook(&text).map(|checked| {
                note(&mut folder.warnings, &name, checked.warnings.clone());
                if checked.cookbook.id.as_str() != slug {
                    let message = format!("lies in the folder `{slug}`; folder and id must be the same");
                    note(problems, &name, vec![Problem::new("cookbook.id", message)]);
                }
                folder.cookbooks.push(CookbookFile { name: name.clone(), checked });
            })
        } else {
            check::recipe(&text, offered).map(|checked| {
                note(&mut folder.warnings, &name, checked.warnings.clone());
                folder.recipes.push(RecipeFile { name: name.clone(), checked, cookbook: slug.clone() });
            })
        };
        if let Err(Report { problems: found, warnings }) = report {
            note(problems, &name, found);
            note(&mut folder.warnings, &name, warnings);
        }
    }
    Ok(())
}

/// What no file shows alone: a version twice, a cookbook or a recipe that is not there.
fn together(folder: &mut Folder, problems: &mut Vec<FileProblem>) {
    let mut seen: HashMap<(String, String), &str> = HashMap::new();
    for file in &folder.recipes {
        let recipe = &file.checked.recipe;
        if let Some(other) = seen.insert((recipe.id.to_string(), recipe.version.sort_key()), &file.name) {
            let message =
                format!("{} {} is in {other} too; give one of them another version", recipe.id, recipe.version);
            note(problems, &file.name, vec![Problem::new("recipe.version", message)]);
        }
        let cookbook = recipe.cookbook.as_ref().map_or(file.cookbook.as_str(), |slug| slug.as_str());
        if !folder.cookbooks.iter().any(|other| other.checked.cookbook.id.as_str() == cookbook) {
            let message = format!("there is no valid cookbook `{cookbook}` in this folder of cookbooks");
            note(problems, &file.name, vec![Problem::new("recipe.cookbook", message).at(file.checked.cookbook_mark)]);
        }
    }
    for cookbook in &folder.cookbooks {
        for (index, slug) in cookbook.checked.cookbook.recipes.iter().enumerate() {
            if !folder.recipes.iter().any(|file| file.checked.recipe.id == *slug) {
                let problem =
                    Problem::new(format!("cookbook.recipes[{index}]"), format!("there is no recipe `{slug}`"));
                note(&mut folder.warnings, &cookbook.name, vec![problem]);
            }
        }
    }
}

fn note(list: &mut Vec<FileProblem>, file: &str, problems: Vec<Problem>) {
    list.extend(problems.into_iter().map(|problem| FileProblem { file: file.to_owned(), problem }));
}

/// In the order of their names, so that a load is the same everywhere.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let listed = fs::read_dir(dir).and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut paths: Vec<PathBuf> = listed.map_err(|error| unreadable(dir, error))?;
    paths.sort();
    Ok(paths)
}

fn is_document(path: &Path) -> bool {
    path.is_file()
        && path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
}

fn unreadable(path: &Path, error: std::io::Error) -> LoadError {
    LoadError::Unreadable { path: path.display().to_string(), error }
}
