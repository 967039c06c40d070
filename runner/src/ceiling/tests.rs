//! Asked ∩ ceiling: what holds for any step and any ceiling, and what people read.

mod refusals;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

const PATHS: [&str; 6] = [".", "src", "src/a", "src2", "target", "target/report"];
const ORIGINS: [&str; 6] = [
    "https://a.example",
    "http://a.example",
    "tcp://a.example:443",
    "https://b.example",
    "http://10.0.0.5",
    "https://[fd00::1]",
];
const RANGES: [&str; 4] = ["10.0.0.0/8", "10.0.0.5/32", "fd00::/8", "192.168.0.0/16"];
const REGISTRIES: [&str; 3] = ["docker.io", "ghcr.io", "localhost"];
const IMAGES: [&str; 5] = [
    "rust:1.95",
    "rust",
    "ghcr.io/team/a:1",
    "localhost/x",
    "not an image",
];
const PATTERNS: [&str; 5] = [
    "rust",
    "rust:1.95",
    "ghcr.io/team/*",
    "ghcr.io/*",
    "localhost/x:latest",
];
const REMOTES: [&str; 4] = [
    "https://git.example/team/app",
    "https://git.example/team/*",
    "https://git.example/*",
    "https://git.example/team2/app",
];

fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// Everything, or some of what is in the pool.
fn list<T>(pool: &'static [&'static str]) -> BoxedStrategy<Ruled<Allowed<T>>>
where
    T: FromStr<Err: Debug> + Clone + Debug + 'static,
{
    let some = subsequence(pool.to_vec(), 0..=pool.len()).prop_map(|texts| {
        let entries = texts.into_iter().map(|text| Ruled::built_in(parsed(text)));
        Ruled::built_in(Allowed::Only(entries.collect()))
    });
    prop_oneof![1 => Just(Ruled::built_in(Allowed::Any)), 4 => some].boxed()
}

fn isolation() -> impl Strategy<Value = Demand> {
    select(vec![Demand::Best, Demand::Strict])
}

fn level() -> impl Strategy<Value = Level> {
    let paths = (list(&PATHS), list(&PATHS));
    let nets = (
        list(&ORIGINS),
        subsequence(RANGES.to_vec(), 0..=RANGES.len()),
    );
    let images = (list(&REGISTRIES), list(&PATTERNS));
    let flags = (any::<bool>(), any::<bool>(), isolation());
    let executors = subsequence(vec![ExecutorKind::Wasm, ExecutorKind::Script], 1..=2);
    let bounds = vec((1..1000_u64, 1..1000_u64), LIMITS.len());
    (
        executors,
        paths,
        nets,
        images,
        flags,
        list(&REMOTES),
        bounds,
    )
        .prop_map(
            |(
                executors,
                (read, write),
                (hosts, ranges),
                (registries, images),
                flags,
                remotes,
                bounds,
            )| {
                let mut level = Level::trusted();
                let executors = executors.into_iter().map(Ruled::built_in).collect();
                level.executors = Ruled::built_in(Allowed::Only(executors));
                (level.read, level.write) = (read, write);
                level.hosts = hosts;
                let ranges = ranges.into_iter().map(|text| Ruled::built_in(parsed(text)));
                level.private_ranges = Ruled::built_in(Allowed::Only(ranges.collect()));
                (level.registries, level.images) = (registries, images);
                level.script_network.value = flags.0;
                level.rootful_engine.value = flags.1;
                level.isolation.value = flags.2;
                level.repositories = remotes;
                for (bound, (one, other)) in level.limits.values_mut().zip(bounds) {
                    bound.value = Bound {
                        default: one.min(other),
                        max: one.max(other),
                    };
                }
                level
            },
        )
}

fn wishes(pool: &'static [&'static str]) -> impl Strategy<Value = Vec<Wish>> {
    let wish = |(index, what): (usize, &&str)| Wish {
        what: (*what).to_owned(),
        line: u32::try_from(index + 10).ok(),
    };
    subsequence(pool.to_vec(), 0..=2)
        .prop_map(move |texts| texts.iter().enumerate().map(wish).collect())
}

fn asked() -> impl Strategy<Value = Asked> {
    let limits = vec(proptest::option::of(1..2000_u64), LIMITS.len());
    let image = select(IMAGES.to_vec());
    let remote = proptest::option::of(select(vec![REMOTES[0], REMOTES[3]]));
    let grants = (wishes(&PATHS), wishes(&PATHS), wishes(&ORIGINS));
    (any::<bool>(), grants, limits, image, remote).prop_map(
        |(is_script, (read, write, net), limits, image, remote)| {
            let mut asked = if is_script {
                let what = image.to_owned();
                Asked::script(Wish { what, line: None }, 3)
            } else {
                Asked {
                    read,
                    write,
                    ..Asked::nothing(ExecutorKind::Wasm)
                }
            };
            asked.net = net;
            let kinds = LIMITS.iter().filter(|kind| kind.executor == asked.executor);
            let wanted = kinds
                .zip(limits)
                .filter_map(|(kind, limit)| Some((kind.name, limit?)));
            asked.limits = wanted.collect();
            asked.repository = remote.map(|address| Repository {
                address: address.to_owned(),
                name: "demo".to_owned(),
            });
            asked
        },
    )
}

fn of_members(level: Level) -> Ceiling {
    Ceiling {
        untrusted: Level::untrusted(&level),
        trusted: level,
    }
}

fn each_in<T: PartialEq>(narrow: &[T], wide: &[T]) -> bool {
    narrow.iter().all(|one| wide.contains(one))
}

/// Whether one step can do nothing that the other cannot.
fn is_within(narrow: &Effective, wide: &Effective) -> bool {
    let Effective {
        executor,
        repository,
        image,
        module_registry,
        read,
        write,
        host_read,
        host_write,
        net,
        private_ranges,
        isolation,
        has_script_network,
        may_be_rootful,
        limits,
    } = narrow;
    let each_limit = |(name, amount): (&LimitName, &u64)| *amount <= wide.limits[name];
    *executor == wide.executor
        && *repository == wide.repository
        && *image == wide.image
        && *module_registry == wide.module_registry
        && each_in(read, &wide.read)
        && each_in(write, &wide.write)
        && each_in(host_read, &wide.host_read)
        && each_in(host_write, &wide.host_write)
        && each_in(net, &wide.net)
        && private_ranges
            .iter()
            .all(|range| wide.private_ranges.iter().any(|other| other.covers(range)))
        && *isolation >= wide.isolation
        && (!has_script_network || wide.has_script_network)
        && (!may_be_rootful || wide.may_be_rootful)
        && limits.iter().all(each_limit)
}

/// A level that allows less: some entries gone, lists instead of everything, lower numbers.
fn narrowed(mut level: Level, keep: &[bool], shrink: u64) -> Level {
    fn thin<T>(list: &mut Ruled<Allowed<T>>, keep: &[bool]) {
        if let Allowed::Only(entries) = &mut list.value {
            let mut keep = keep.iter().cycle();
            entries.retain(|_| *keep.next().unwrap_or(&true));
        }
    }
    thin(&mut level.read, keep);
    thin(&mut level.write, &keep[1..]);
    thin(&mut level.hosts, &keep[2..]);
    thin(&mut level.private_ranges, &keep[1..]);
    thin(&mut level.registries, keep);
    thin(&mut level.images, &keep[2..]);
    thin(&mut level.repositories, keep);
    if keep[0] {
        level.read.value = match level.read.value {
            Allowed::Any => Allowed::Only(vec![Ruled::built_in(parsed("src"))]),
            listed @ Allowed::Only(_) => listed,
        };
    }
    level.script_network.value &= keep[1];
    level.rootful_engine.value &= keep[2];
    if !keep[3] {
        level.isolation.value = Demand::Strict;
    }
    for bound in level.limits.values_mut() {
        let max = (bound.value.max / shrink).max(1);
        let default = bound.value.default.min(max);
        bound.value = Bound { default, max };
    }
    level
}

/// What a step asks for that can do without some of it.
fn modest(asked: &Asked, keep: &[bool]) -> Asked {
    let mut keeps = keep.iter().cycle().copied();
    let mut thin = |wishes: &[Wish]| -> Vec<Wish> {
        let kept = wishes.iter().filter(|_| keeps.next().unwrap_or(true));
        kept.cloned().collect()
    };
    Asked {
        read: thin(&asked.read),
        write: thin(&asked.write),
        net: thin(&asked.net),
        ..asked.clone()
    }
}

fn each_covered<T: Covers + FromStr>(given: &[T], asked: &[Wish]) -> bool {
    let asked: Vec<T> = asked
        .iter()
        .filter_map(|wish| wish.what.parse().ok())
        .collect();
    given
        .iter()
        .all(|one| asked.iter().any(|wish| wish.covers(one)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_step_gets_nothing_that_it_did_not_ask_for(level in level(), asked in asked()) {
        if let Ok(given) = effective(&asked, &of_members(level), Trust::Trusted) {
            prop_assert_eq!(given.executor, asked.executor);
            prop_assert!(each_covered(&given.read, &asked.read));
            prop_assert!(each_covered(&given.write, &asked.write));
            prop_assert!(each_covered(&given.net, &asked.net));
            prop_assert!(given.private_ranges.is_empty() || !asked.net.is_empty());
            for (name, amount) in &asked.limits {
                prop_assert!(given.limits[name] <= *amount);
            }
        }
    }

    #[test]
    fn a_step_gets_nothing_that_the_ceiling_does_not_allow(level in level(), asked in asked()) {
        if let Ok(given) = effective(&asked, &of_members(level.clone()), Trust::Trusted) {
            prop_assert!(level.executors.allows(&given.executor).is_some());
            for path in &given.read {
                prop_assert!(level.read.allows(path).or(level.write.allows(path)).is_some());
            }
            for path in &given.write {
                prop_assert!(level.write.allows(path).is_some());
            }
            for origin in &given.net {
                prop_assert!(level.hosts.allows(origin).is_some());
                if let Some(address) = origin.private_address() {
                    let ranges = level.private_ranges.value.entries();
                    prop_assert!(ranges.iter().any(|range| range.value.contains(address)));
                }
            }
            if let Some(image) = &given.image {
                prop_assert!(level.registries.allows(image.registry()).is_some());
                prop_assert!(level.images.allows(&ImagePattern::One(image.clone())).is_some());
            }
            if let Some(repository) = &given.repository {
                prop_assert!(level.repositories.allows(&parsed(&repository.address)).is_some());
            }
            prop_assert!(!given.has_script_network || level.script_network.value);
            prop_assert!(!given.may_be_rootful || level.rootful_engine.value);
            prop_assert!(given.isolation >= level.isolation.value);
            for (name, amount) in &given.limits {
                prop_assert!(*amount <= level.limits[&(given.executor, *name)].value.max);
            }
        }
    }

    #[test]
    fn what_was_given_is_given_again_whole(level in level(), asked in asked()) {
        let ceiling = of_members(level);
        if let Ok(given) = effective(&asked, &ceiling, Trust::Trusted) {
            prop_assert_eq!(effective(&Asked::from(&given), &ceiling, Trust::Trusted), Ok(given));
        }
    }

    #[test]
    fn whoever_asks_for_less_is_refused_nothing_more(
        level in level(), asked in asked(), keep in vec(any::<bool>(), 4),
    ) {
        let ceiling = of_members(level);
        if let Ok(given) = effective(&asked, &ceiling, Trust::Trusted) {
            let less = effective(&modest(&asked, &keep), &ceiling, Trust::Trusted);
            prop_assert!(less.is_ok_and(|less| is_within(&less, &given)));
        }
    }

    #[test]
    fn a_narrower_ceiling_gives_no_more(
        level in level(), asked in asked(), keep in vec(any::<bool>(), 4), shrink in 1..5_u64,
    ) {
        let narrow = narrowed(level.clone(), &keep, shrink);
        prop_assert_eq!(narrow.beyond(&level), Vec::new());
        if let Ok(given) = effective(&asked, &of_members(narrow), Trust::Trusted) {
            let more = effective(&asked, &of_members(level), Trust::Trusted);
            prop_assert!(more.is_ok_and(|more| is_within(&given, &more)));
        }
    }

    #[test]
    fn a_stranger_gets_no_more_than_a_member(level in level(), other in level(), asked in asked()) {
        let built_in = Level::untrusted(&level);
        prop_assert_eq!(built_in.beyond(&level), Vec::new());
        for untrusted in [built_in, other] {
            if !untrusted.beyond(&level).is_empty() {
                continue;
            }
            let ceiling = Ceiling { trusted: level.clone(), untrusted };
            if let Ok(given) = effective(&asked, &ceiling, Trust::Untrusted) {
                let more = effective(&asked, &ceiling, Trust::Trusted);
                prop_assert!(more.is_ok_and(|more| is_within(&given, &more)));
            }
        }
    }

    #[test]
    fn each_thing_that_is_missing_is_refused_with_the_line_that_asks(
        level in level(), asked in asked(),
    ) {
        let ceiling = of_members(level.clone());
        let refusals = match effective(&asked, &ceiling, Trust::Trusted) {
            Ok(_) => Vec::new(),
            Err(Refusals(refusals)) => refusals,
        };
        for wish in asked.net.iter().filter(|wish| level.hosts.allows(&parsed(&wish.what)).is_none()) {
            let is_it = |refusal: &&Refusal| {
                refusal.what == format!("net grant `{}`", wish.what)
                    && refusal.line == wish.line
                    && refusal.key == "hosts"
            };
            prop_assert_eq!(refusals.iter().filter(is_it).count(), 1);
        }
    }

    #[test]
    fn any_text_is_a_decision_and_no_panic(text in ".{0,40}", is_script: bool) {
        let wish = Wish { what: text.clone(), line: Some(1) };
        let mut asked = if is_script {
            Asked::script(wish.clone(), 1)
        } else {
            Asked::nothing(ExecutorKind::Wasm)
        };
        asked.read = vec![wish.clone()];
        asked.host_write = vec![wish.clone()];
        asked.net = vec![wish];
        asked.repository = Some(Repository { address: text.clone(), name: text });
        for trust in [Trust::Trusted, Trust::Untrusted] {
            let (_, decisions) = weigh(&asked, &Ceiling::default(), trust);
            prop_assert!(decisions.len() > 3);
        }
    }
}

#[test]
fn generated_steps_are_refused_and_allowed_both() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut counts = BTreeMap::new();
    for _ in 0..1000 {
        let (level, asked) = (level(), asked()).new_tree(&mut runner).unwrap().current();
        let given = effective(&asked, &of_members(level), Trust::Trusted);
        *counts.entry(given.is_ok()).or_insert(0) += 1;
    }
    // Otherwise the properties above would say little.
    assert!(counts[&true] > 50 && counts[&false] > 50, "{counts:?}");
}
