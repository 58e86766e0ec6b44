//! How a section of `jackdaw.toml` is described: once, beside its defaults.
//!
//! `section!` turns one description into the typed struct, its `Default`, and the [`Section`] table
//! from which the checks, `jackdaw config default` and `docs/configuration.md` are made. A key that
//! is not described cannot exist, and a description cannot go stale.

use super::value::grouped;

/// When a changed value takes effect after SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// At the reload.
    Reload,
    /// At the next start; the reload says so in the log.
    Restart,
}

/// What a key has besides its name, type and default.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// When a change takes effect.
    pub applies: Applies,
    /// The unit of the number, empty for what is no number.
    pub unit: &'static str,
    /// The smallest and largest number accepted.
    pub range: Option<(i64, i64)>,
    /// What an optional key looks like when it is set.
    pub example: &'static str,
}

/// A key whose change takes effect at the reload.
pub(super) const RELOAD: Traits =
    Traits { applies: Applies::Reload, unit: "", range: None, example: "" };

/// A key whose change waits for the next start.
pub(super) const RESTART: Traits = Traits { applies: Applies::Restart, ..RELOAD };

impl Traits {
    /// A number of `unit` from `min` to `max`.
    pub(super) const fn count(self, unit: &'static str, min: i64, max: i64) -> Traits {
        Traits { unit, range: Some((min, max)), ..self }
    }

    /// A number of bytes.
    pub(super) const fn bytes(self, min: i64, max: i64) -> Traits {
        self.count("bytes", min, max)
    }

    /// A number of seconds.
    pub(super) const fn seconds(self, min: i64, max: i64) -> Traits {
        self.count("seconds", min, max)
    }

    /// What to show for a key that is not set by default.
    pub(super) const fn example(self, example: &'static str) -> Traits {
        Traits { example, ..self }
    }
}

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    /// The key as written in the file.
    pub name: &'static str,
    /// Its doc comment, line by line.
    pub doc: &'static [&'static str],
    /// What its value looks like, in words.
    pub kind: fn() -> String,
    /// Unit, range and the rest.
    pub traits: Traits,
}

impl Key {
    /// What its value may be, in words: `1 to 300 seconds`.
    pub fn accepts(&self) -> String {
        let Traits { range, unit, .. } = self.traits;
        match range {
            Some((min, max)) => format!("{} to {} {unit}", grouped(min), grouped(max)),
            None => (self.kind)(),
        }
    }
}

/// One table of the file, `[path]`, or `[[path]]` where it may be repeated.
#[derive(Debug)]
pub struct Section {
    /// The table's dotted name.
    pub path: &'static str,
    /// Its doc comment, line by line.
    pub doc: &'static [&'static str],
    /// Whether the table is an array of tables.
    pub repeated: bool,
    /// Its keys in the order of the description.
    pub keys: &'static [Key],
    /// The defaults as TOML in the order of `keys`; `None` for a key that is not set by default.
    pub defaults: fn() -> Vec<Option<String>>,
}

impl Section {
    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Describes a section: `key: Type = default => traits;` under doc comments, and after the keys
/// `with table: Type;` for a section inside it.
///
/// The first argument is the table's name, `[once]` or `[[repeated]]`. A doc comment tells an
/// operator what the key does and why the default is what it is, for it is printed to operators.
macro_rules! section {
    ([[$path:literal]] $($rest:tt)+) => { section! { @ $path, true; $($rest)+ } };
    ([$path:literal] $($rest:tt)+) => { section! { @ $path, false; $($rest)+ } };
    (
        @ $path:literal, $repeated:literal;
        $(#[doc = $doc:literal])+
        $name:ident {
            $( $(#[doc = $key_doc:literal])+ $key:ident : $type:ty = $default:expr => $traits:expr; )+
            $( with $table:ident : $table_type:ty; )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $key_doc])+ pub $key: $type, )+
            $( #[doc = concat!("The table `", $path, ".", stringify!($table), "`.")]
               pub $table: $table_type, )*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $( $key: $default, )+ $( $table: <$table_type>::default(), )* }
            }
        }

        impl $name {
            /// The description of the table.
            pub const SECTION: $crate::config::section::Section = $crate::config::section::Section {
                path: $path,
                doc: &[$($doc),+],
                repeated: $repeated,
                keys: &[$( $crate::config::section::Key {
                    name: stringify!($key),
                    doc: &[$($key_doc),+],
                    kind: <$type as $crate::config::value::Setting>::kind,
                    traits: $traits,
                } ),+],
                defaults: || $name::default().to_toml(),
            };

            /// The values as TOML in the order of the description.
            pub(super) fn to_toml(&self) -> Vec<Option<String>> {
                vec![$( $crate::config::value::Setting::to_toml(&self.$key) ),+]
            }
        }
    };
}

pub(super) use section;
