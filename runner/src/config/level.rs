//! `[trusted]` and `[untrusted]`: the tables of `runner.toml` that make the ceiling.
//!
//! A key that is not written keeps what is built in; in `[untrusted]`, what `[trusted]` says where that is less. Whatever is
//! written for strangers and exceeds what members have is a mistake of the file, shown with both lines.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use super::document::{Entry, Report, Table};
use super::keys::LEVELS;
use crate::ceiling::{
    Allowed, Bound, By, Ceiling, Demand, LIMITS, Level, LimitKind, Ruled, Surplus, Unit, quantity,
};

/// The word for a list that allows everything.
const ANY: &str = "any";

/// Reads both levels.
pub(super) fn ceiling(root: &Table<'_, '_>, report: &mut Report<'_>) -> Ceiling {
    let [trusted, untrusted] = LEVELS;
    let members = match root.table(trusted, report) {
        Some(table) => Reading::new(table, report).level(Level::trusted()).0,
        None => Level::trusted(),
    };
    let base = Level::untrusted(&members);
    let strangers = match root.table(untrusted, report) {
        None => base,
        Some(table) => {
            let (level, places) = Reading::new(table, report).level(base);
            for surplus in level.beyond(&members) {
                exceeds(&surplus, &places, report);
            }
            level
        }
    };
    Ceiling {
        trusted: members,
        untrusted: strangers,
    }
}

fn exceeds(surplus: &Surplus, places: &Places, report: &mut Report<'_>) {
    let Surplus {
        key,
        entry,
        by: _,
        theirs,
    } = surplus;
    let Some(place) = places.get(key) else {
        return;
    };
    let at = entry.and_then(|index| place.entries.get(index));
    let message =
        format!("`untrusted.{key}` allows strangers more than `trusted.{key}` allows members");
    let theirs = match theirs {
        By::Line(line) => format!("`trusted.{key}` is on line {line}"),
        By::BuiltIn => format!("`trusted.{key}` is not written, so what is built in counts"),
    };
    let help = format!("{theirs}: widen that one, or take this out");
    report.error(
        "exceeds-trusted",
        at.unwrap_or(&place.value),
        message,
        Some(help),
    );
}

/// Where the values of a level stand, by key.
type Places = BTreeMap<String, Place>;

struct Place {
    value: Range<usize>,
    entries: Vec<Range<usize>>,
}

struct Reading<'r, 'd, 't, 'x> {
    table: Table<'d, 't>,
    report: &'r mut Report<'x>,
    places: Places,
}

impl<'r, 'd, 't, 'x> Reading<'r, 'd, 't, 'x> {
    fn new(table: Table<'d, 't>, report: &'r mut Report<'x>) -> Self {
        let places = Places::new();
        Self {
            table,
            report,
            places,
        }
    }

    fn level(mut self, mut level: Level) -> (Level, Places) {
        self.some("executors", &mut level.executors);
        if let Some((entry, by)) = self.entry("isolation")
            && let Some(value) = entry.parsed::<Demand>(self.report)
        {
            level.isolation = Ruled { value, by };
        }
        self.list("read", &mut level.read);
        self.read_only_by_silence(&mut level);
        self.list("write", &mut level.write);
        self.list("host_read", &mut level.host_read);
        self.list("host_write", &mut level.host_write);
        self.list("hosts", &mut level.hosts);
        self.some("private_ranges", &mut level.private_ranges);
        self.list("registries", &mut level.registries);
        self.list("images", &mut level.images);
        // Scripts in the engine's network reach every host. Whoever lists hosts does not want that by silence.
        if level.hosts.value != Allowed::Any && level.script_network.by == By::BuiltIn {
            level.script_network = Ruled {
                value: false,
                by: level.hosts.by,
            };
        }
        self.truth("script_network", &mut level.script_network);
        self.truth("rootful_engine", &mut level.rootful_engine);
        self.list("repositories", &mut level.repositories);
        self.list("repository_names", &mut level.repository_names);
        if let Some((entry, by)) = self.entry("push_keys") {
            let keys = self.entries(&entry);
            let value = keys.into_iter().map(|key| key.value).collect();
            level.push_keys = Some(Ruled { value, by });
        }
        self.hosts_that_need_a_range(&level);
        self.limits(&mut level);
        (level, self.places)
    }

    /// What may be written may be read. Whoever lists what may be read does not want all the rest writable by silence.
    fn read_only_by_silence(&self, level: &mut Level) {
        if let (true, Allowed::Only(read)) = (self.places.contains_key("read"), &level.read.value) {
            let both = read
                .iter()
                .filter(|path| level.write.allows(&path.value).is_some());
            level.write = Ruled {
                value: Allowed::Only(both.cloned().collect()),
                by: level.read.by,
            };
        }
    }

    /// The entry of that name, and who decided it.
    fn entry(&mut self, name: &str) -> Option<(Entry<'d, 't>, By)> {
        let entry = self.table.get(name)?;
        let place = Place {
            value: entry.value_at(),
            entries: Vec::new(),
        };
        self.places.insert(name.to_owned(), place);
        let by = By::Line(self.report.line(&entry.at));
        Some((entry, by))
    }

    /// A list, or the word for everything.
    fn list<T: FromStr<Err: Display>>(&mut self, name: &str, into: &mut Ruled<Allowed<T>>) {
        let Some((entry, by)) = self.entry(name) else {
            return;
        };
        let value = if entry.is(ANY) {
            Allowed::Any
        } else if entry.is_list() {
            Allowed::Only(self.entries(&entry))
        } else {
            entry.wrong_kind("a list of texts, or \"any\"", self.report);
            return;
        };
        *into = Ruled { value, by };
    }

    /// A list that has no word for everything.
    fn some<T: FromStr<Err: Display>>(&mut self, name: &str, into: &mut Ruled<Allowed<T>>) {
        if let Some((entry, by)) = self.entry(name) {
            let value = Allowed::Only(self.entries(&entry));
            *into = Ruled { value, by };
        }
    }

    fn entries<T: FromStr<Err: Display>>(&mut self, entry: &Entry<'d, 't>) -> Vec<Ruled<T>> {
        let mut read = Vec::new();
        let mut places = Vec::new();
        for (text, at) in entry.list(self.report).unwrap_or_default() {
            match text.parse() {
                Ok(value) => {
                    let by = By::Line(self.report.line(&at));
                    read.push(Ruled { value, by });
                    places.push(at);
                }
                Err(why) => self.report.bad_value(&entry.path, &at, why),
            }
        }
        let name = entry.path.rsplit('.').next().unwrap_or_default();
        if let Some(place) = self.places.get_mut(name) {
            place.entries = places;
        }
        read
    }

    fn truth(&mut self, name: &str, into: &mut Ruled<bool>) {
        if let Some((entry, by)) = self.entry(name)
            && let Some(value) = entry.truth(self.report)
        {
            *into = Ruled { value, by };
        }
    }

    /// An origin that could never be reached is a mistake, and not a bound.
    fn hosts_that_need_a_range(&mut self, level: &Level) {
        let Some(place) = self.places.get("hosts") else {
            return;
        };
        let ranges = level.private_ranges.value.entries();
        for (origin, at) in level.hosts.value.entries().iter().zip(&place.entries) {
            let Some(address) = origin.value.private_address() else {
                continue;
            };
            if !ranges.iter().any(|range| range.value.contains(address)) {
                let message = format!(
                    "{address} is no public address, and `private_ranges` does not include it"
                );
                let help = format!("add \"{address}\" to `private_ranges`, or take this out");
                self.report.error("private-host", at, message, Some(help));
            }
        }
    }

    fn limits(&mut self, level: &mut Level) {
        let Some(limits) = self.table.table("limits", self.report) else {
            return;
        };
        for kind in &LIMITS {
            let executor = kind.executor.name();
            // A second look at a table that is none would note the same again.
            let Some(of_executor) = limits.get(executor).filter(Entry::is_table) else {
                continue;
            };
            let entry = of_executor.table(self.report);
            let Some(entry) = entry.and_then(|table| table.get(kind.name.name())) else {
                continue;
            };
            let key = (kind.executor, kind.name);
            let before = level.limits[&key].value;
            let place = Place {
                value: entry.value_at(),
                entries: Vec::new(),
            };
            let name = format!("limits.{executor}.{}", kind.name.name());
            self.places.insert(name, place);
            let by = By::Line(self.report.line(&entry.at));
            if let Some(value) = bound(&entry, kind, before, self.report) {
                level.limits.insert(key, Ruled { value, by });
            }
        }
        for executor in ["wasm", "script"] {
            if let Some(entry) = limits.get(executor).filter(|entry| !entry.is_table()) {
                entry.table(self.report);
            }
        }
    }
}

/// `"2GiB"`, the maximum; or `{ default = "1GiB", max = "2GiB" }`, either of which may be left out.
fn bound(
    entry: &Entry<'_, '_>,
    kind: &LimitKind,
    before: Bound,
    report: &mut Report<'_>,
) -> Option<Bound> {
    if !entry.is_table() {
        let max = amount(entry, kind, report)?;
        let default = before.default.min(max);
        return Some(Bound { default, max });
    }
    let table = entry.table(report)?;
    for other in table.entries() {
        let name = other.path.rsplit('.').next().unwrap_or_default();
        if !matches!(name, "default" | "max") {
            let message = format!("there is no key `{}`", other.path);
            let help = Some("there are `default` and `max`".to_owned());
            report.error("unknown-key", &other.at, message, help);
        }
    }
    let max = match table.get("max") {
        Some(entry) => amount(&entry, kind, report)?,
        None => before.max,
    };
    let default = match table.get("default") {
        None => before.default.min(max),
        Some(entry) => {
            let default = amount(&entry, kind, report)?;
            if default > max {
                let shown = kind.name.unit().shown(max);
                let why = format!("is more than the maximum, {shown}");
                report.bad_value(&entry.path, &entry.value_at(), why);
                return None;
            }
            default
        }
    };
    Some(Bound { default, max })
}

/// An amount in the limit's own unit.
fn amount(entry: &Entry<'_, '_>, kind: &LimitKind, report: &mut Report<'_>) -> Option<u64> {
    let unit = kind.name.unit();
    let read = match unit {
        Unit::Count => Ok(entry.number(report)?),
        Unit::Bytes | Unit::Millis if entry.text(&mut Report::new("")).is_none() => {
            let wanted = if unit == Unit::Bytes {
                "a size with its unit, such as \"256MiB\""
            } else {
                "a time with its unit, such as \"90s\""
            };
            entry.wrong_kind(wanted, report);
            return None;
        }
        Unit::Bytes => {
            let (text, _) = entry.text(report)?;
            let has_unit = text.ends_with('B');
            let size = quantity::size(text).ok().filter(|_| has_unit);
            size.ok_or("is not a size; write a whole number with B, KiB, MiB, GiB or TiB, such as \"256MiB\"")
        }
        Unit::Millis => {
            let (text, _) = entry.text(report)?;
            let time = quantity::duration(text).ok();
            let millis = time.and_then(|time| u64::try_from(time.as_millis()).ok());
            millis.ok_or("is not a time; write a whole number with ms, s, m or h, such as \"90s\"")
        }
    };
    let at = entry.value_at();
    let checked = read.map_err(str::to_owned).and_then(|amount| match amount {
        0 => Err("is nothing, and no step can run with it".to_owned()),
        amount if amount > kind.possible => Err(format!(
            "is more than is possible, {}",
            unit.shown(kind.possible)
        )),
        amount => Ok(amount),
    });
    checked
        .map_err(|why| report.bad_value(&entry.path, &at, why))
        .ok()
}
