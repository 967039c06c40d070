//! A file with our own keys is still a file of Bitbucket's language, by Bitbucket's published schema.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cofferdam_pipeline::{KEYS, PIPELINE_FILE_NAMES, Severity, migrate};
use cofferdam_tests::not_run::note;
use cofferdam_tests::schema::Schema;

/// The mappings that only our language has.
const OUR_PLACES: [&str; 6] = ["wasm", "module", "grants", "secret", "limits", "retry"];

/// Our keys in mappings that Bitbucket has too.
const OUR_STEP_KEYS: [&str; 3] = ["wasm", "grants", "retry"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn our_keys() -> PathBuf {
    root().join("tests/files/our-keys.yml")
}

/// The schema, unless this host cannot have it, which is noted under the name of the test.
fn schema(test: &str) -> Result<Option<Schema>> {
    Ok(match Schema::read()? {
        Ok(schema) => Some(schema),
        Err(reason) => {
            note(test, &reason);
            None
        }
    })
}

#[test]
fn the_file_of_our_keys_has_every_one_of_them() -> Result<()> {
    let source = fs::read_to_string(our_keys())?;
    let migration = migrate(source.as_bytes());
    let is_error = |severity| severity == Severity::Error;
    ensure!(
        migration
            .diagnostics
            .iter()
            .all(|one| !is_error(one.severity)),
        "{:#?}",
        migration.diagnostics
    );
    let missing: Vec<String> = KEYS
        .iter()
        .filter(|key| {
            OUR_PLACES.contains(&key.place)
                || (key.place == "step" && OUR_STEP_KEYS.contains(&key.name))
        })
        .filter(|key| !source.contains(&format!("{}:", key.name)))
        .map(|key| format!("{}.{}", key.place, key.name))
        .collect();
    ensure!(missing.is_empty(), "not in the file: {missing:?}");
    Ok(())
}

#[test]
fn our_keys_and_our_examples_are_valid_by_bitbuckets_own_schema() -> Result<()> {
    let Some(schema) = schema("our_keys_and_our_examples_are_valid_by_bitbuckets_own_schema")?
    else {
        return Ok(());
    };
    let temporary = tempfile::tempdir()?;
    let mut files = vec![our_keys()];
    files.extend(
        PIPELINE_FILE_NAMES
            .iter()
            .map(|name| root().join(name))
            .filter(|path| path.exists()),
    );
    let docs = fs::read_dir(root().join("docs"))?;
    for page in docs {
        let page = page?.path();
        if page.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let name = page
            .file_stem()
            .context("a page has a name")?
            .display()
            .to_string();
        let text = fs::read_to_string(&page)?;
        let blocks = text.split("```yaml\n").skip(1);
        for (number, block) in blocks.enumerate() {
            let example = block.split("```").next().unwrap_or_default();
            if example.contains("pipelines:") {
                let file = temporary.path().join(format!("{name}-{number}.yml"));
                fs::write(&file, example)?;
                files.push(file);
            }
        }
    }
    ensure!(files.len() >= 3, "the pages have lost their examples");
    for file in files {
        let objections = schema.objections(&file)?;
        ensure!(objections.is_none(), "{}: {objections:?}", file.display());
    }
    Ok(())
}

/// Else the test above would pass with a checker that checks nothing.
#[test]
fn bitbuckets_own_schema_refuses_what_is_wrong() -> Result<()> {
    let Some(schema) = schema("bitbuckets_own_schema_refuses_what_is_wrong")? else {
        return Ok(());
    };
    let temporary = tempfile::tempdir()?;
    let file = temporary.path().join("wrong.yml");
    fs::write(
        &file,
        "pipelines:\n  default:\n    - stepp: {script: [make]}\n",
    )?;
    let objections = schema.objections(&file)?.context("it takes everything")?;
    ensure!(objections.contains("stepp"), "{objections}");
    Ok(())
}
