//! What the value of a key looks like: the language of the table's column of that name.
//!
//! `check` holds a file to it, the reference page and the schema for editors are printed from it. What a form cannot say
//! (the grammar of a grant, which step may be manual) is a reader's business.

/// What the value of a key has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whatever stands there.
    Any,
    /// A text; YAML takes `3.8` and `yes` for one thing each, and only the second is a text.
    Text,
    /// A text of so many characters.
    TextOf {
        chars_min: usize,
        chars_max: usize,
    },
    /// A text on one line that is not empty.
    Line,
    /// A text, or a number or boolean by its spelling. Only keys that are our own are so lenient.
    Spelling,
    /// A size with a unit: `256MiB`.
    Size,
    /// A time with a unit: `60s`.
    Time,
    /// `REPOSITORY:REF:PIPELINE`, or `PIPELINE@SOURCE`.
    Import,
    /// One of these texts.
    Choice(&'static [&'static str]),
    Bool,
    /// A whole number of at least this.
    Whole {
        min: i64,
    },
    /// A list of `of` with so many items.
    List {
        of: &'static Form,
        min: usize,
        max: usize,
    },
    /// A list like that, each item once.
    Set(&'static Form),
    /// A mapping with free names of so many entries.
    Map {
        of: &'static Form,
        min: usize,
        max: usize,
    },
    /// A mapping with the keys of this place of the table.
    Place(&'static str),
    /// Exactly one of these.
    OneOf(&'static [Form]),
    /// Held to this form by a reader of its own, which can explain more.
    Read(&'static Form),
    /// The items of a pipeline, or an import of one; read by `items`.
    Pipeline,
    /// The same below `custom`: `variables` may stand among the items, and `final` may not.
    CustomPipeline,
    /// A list of items that are steps and nothing else; read by `items`.
    Steps,
}

/// No upper bound but that of the whole file.
pub(super) const MANY: usize = usize::MAX;

/// What is known of a mapping beside its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub name: &'static str,
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// An unknown key refuses the file, because the language's schema closes the mapping, or because a misspelt grant or
    /// limit must not vanish. Elsewhere it is warned of.
    pub is_closed: bool,
    /// Keys that may stand there together.
    pub keys_max: usize,
    /// If there are any, exactly one of them must hold.
    pub variants: &'static [Variant],
}

/// One of several sets of keys of a mapping that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Keys that must be there, each with its form.
    pub with: &'static [&'static str],
    /// Keys that must not be there.
    pub without: &'static [&'static str],
}

const OPEN: Place = Place {
    name: "",
    required: &[],
    is_closed: false,
    keys_max: MANY,
    variants: &[],
};

const fn needs(name: &'static str, required: &'static [&'static str]) -> Place {
    Place {
        name,
        required,
        ..OPEN
    }
}

const fn closed(place: Place) -> Place {
    Place {
        is_closed: true,
        ..place
    }
}

const fn with(with: &'static [&'static str]) -> Variant {
    Variant { with, without: &[] }
}

/// Keys for a registry or a bucket of AWS.
const AWS: &[Variant] = &[with(&["access-key", "secret-key"]), with(&["oidc-role"])];

/// The places that are more than a set of keys of which each may be absent.
pub const PLACES: &[Place] = &[
    closed(needs("pipeline", &["import"])),
    closed(needs("item", &[])),
    needs("parallel", &["steps"]),
    needs("stage", &["steps"]),
    needs("variable", &["name"]),
    Place {
        keys_max: 1,
        ..closed(needs("changesets", &[]))
    },
    Place {
        variants: &[
            Variant {
                with: &[],
                without: &["username", "password", "aws"],
            },
            with(&["username", "password"]),
            with(&["aws"]),
        ],
        ..needs("image", &["name"])
    },
    Place {
        variants: AWS,
        ..needs("image.aws", &[])
    },
    needs("cache", &["path"]),
    needs("cache.key", &["files"]),
    needs("upload", &["name", "paths"]),
    needs("agent", &["prompt"]),
    needs("pipe", &["pipe"]),
    needs("agent task", &["agent"]),
    needs("trigger", &["condition", "pipelines"]),
    Place {
        variants: &[with(&["gcp"]), with(&["aws"])],
        ..needs("storage", &[])
    },
    Place {
        variants: AWS,
        ..needs("storage.aws", &["bucket", "region"])
    },
    needs("storage.gcp", &["bucket", "key-file"]),
    closed(needs("wasm", &["module"])),
    closed(needs("module", &["artifact", "from"])),
    closed(needs("grants", &[])),
    closed(needs("secret", &["file"])),
    closed(needs("limits", &[])),
    closed(needs("retry", &[])),
];

/// What is known of a place.
pub(crate) fn place(name: &str) -> &'static Place {
    PLACES
        .iter()
        .find(|place| place.name == name)
        .unwrap_or(&OPEN)
}
