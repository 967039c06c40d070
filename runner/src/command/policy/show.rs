//! `cofferdam policy show`: the ceiling in force, key by key, with the line that decided.

use std::fmt::Display;
use std::io::{self, Write};

use cofferdam_protocol::job_spec::Trust;
use serde_json::{Value, json};

use super::{Format, ShowArgs, origin};
use crate::ceiling::{Allowed, By, Level, Ruled, name_of};
use crate::command::paint::{Ink, Paint};
use crate::config::{Config, Environment};
use crate::text::printable;

/// One key as it counts.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    key: String,
    /// What it is, each entry of a list on its own.
    values: Vec<(String, By)>,
    by: By,
}

pub(super) fn run(args: &ShowArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = args.common.config(environment)?;
    let levels: Vec<Trust> = match args.trust {
        Some(trust) => vec![trust.into()],
        None => vec![Trust::Trusted, Trust::Untrusted],
    };
    let mut output = io::stdout().lock();
    match args.common.format {
        Format::Human => human(&config, &levels, Paint::of_stdout(environment), &mut output)?,
        Format::Json => writeln!(output, "{:#}", json(&config, &levels))?,
    }
    Ok(())
}

fn human(
    config: &Config,
    levels: &[Trust],
    paint: Paint,
    output: &mut impl Write,
) -> io::Result<()> {
    writeln!(output, "The ceiling {}", origin(config))?;
    for trust in levels {
        let builds = paint.put(Ink::Bold, &format!("{} builds", name_of(*trust)));
        writeln!(output, "\n{builds}")?;
        let rows = rows(config.ceiling.of(*trust));
        let columns = rows
            .iter()
            .map(|row| row.key.len())
            .max()
            .unwrap_or_default();
        let widths = rows
            .iter()
            .flat_map(|row| &row.values)
            .map(|(value, _)| value.chars().count());
        let width = widths.max().unwrap_or_default().min(VALUE_COLUMNS_MAX);
        for Row { key, values, by } in &rows {
            let none = [("nothing".to_owned(), *by)];
            let values = if values.is_empty() { &none[..] } else { values };
            for (index, (value, by)) in values.iter().enumerate() {
                let key = if index == 0 { key } else { "" };
                let by = paint.put(Ink::Faint, &by.to_string());
                writeln!(
                    output,
                    "  {key:columns$}  {:width$}  {by}",
                    printable(value)
                )?;
            }
        }
    }
    Ok(())
}

/// Columns that values are lined up in. A longer one pushes what stands behind it.
const VALUE_COLUMNS_MAX: usize = 48;

fn json(config: &Config, levels: &[Trust]) -> Value {
    let of = |trust: &Trust| {
        let rows = rows(config.ceiling.of(*trust)).into_iter();
        let row = |Row { key, values, by }: Row| {
            let entry = |(value, by): (String, By)| json!({ "value": value, "line": line(by) });
            let values: Vec<Value> = values.into_iter().map(entry).collect();
            (key, json!({ "values": values, "line": line(by) }))
        };
        let level: serde_json::Map<String, Value> = rows.map(row).collect();
        (name_of(*trust).to_owned(), Value::Object(level))
    };
    let levels: serde_json::Map<String, Value> = levels.iter().map(of).collect();
    let file = config.file.as_ref().map(|path| path.display().to_string());
    json!({ "file": file, "levels": levels })
}

/// The line of `runner.toml`; null if nobody wrote one.
pub(super) fn line(by: By) -> Option<u32> {
    match by {
        By::BuiltIn => None,
        By::Line(line) => Some(line),
    }
}

fn rows(level: &Level) -> Vec<Row> {
    let Level {
        executors,
        isolation,
        read,
        write,
        host_read,
        host_write,
        hosts,
        private_ranges,
        registries,
        images,
        script_network,
        rootful_engine,
        repositories,
        repository_names,
        push_keys,
        limits,
    } = level;
    let mut rows = vec![
        list("executors", executors),
        one("isolation", isolation.value.name(), isolation.by),
        list("read", read),
        list("write", write),
        list("host_read", host_read),
        list("host_write", host_write),
        list("hosts", hosts),
        list("private_ranges", private_ranges),
        list("registries", registries),
        list("images", images),
        one("script_network", script_network.value, script_network.by),
        one("rootful_engine", rootful_engine.value, rootful_engine.by),
        list("repositories", repositories),
        list("repository_names", repository_names),
    ];
    rows.extend(push_keys.as_ref().map(|keys| {
        Row {
            key: "push_keys".to_owned(),
            values: keys
                .value
                .iter()
                .map(|key| (key.to_string(), keys.by))
                .collect(),
            by: keys.by,
        }
    }));
    rows.extend(limits.iter().map(|((executor, name), bound)| {
        let shown = |amount| name.unit().shown(amount);
        let (default, max) = (shown(bound.value.default), shown(bound.value.max));
        let key = format!("limits.{executor}.{}", name.name());
        one(&key, format!("{default}, at most {max}"), bound.by)
    }));
    rows
}

fn one(key: &str, value: impl Display, by: By) -> Row {
    Row {
        key: key.to_owned(),
        values: vec![(value.to_string(), by)],
        by,
    }
}

fn list<T: Display>(key: &str, list: &Ruled<Allowed<T>>) -> Row {
    let values = match &list.value {
        Allowed::Any => vec![("any".to_owned(), list.by)],
        Allowed::Only(entries) => entries
            .iter()
            .map(|entry| (entry.value.to_string(), entry.by))
            .collect(),
    };
    Row {
        key: key.to_owned(),
        values,
        by: list.by,
    }
}
