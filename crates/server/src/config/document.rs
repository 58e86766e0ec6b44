//! The file as TOML with positions: which keys it has and in which lines they stand.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::nearest::nearest;
use super::section::{Key, Section};

/// A parsed file that still knows its lines.
pub(super) struct Document<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses `text` as TOML, without looking at what the keys mean.
    pub(super) fn parse(text: &'a str) -> Result<Document<'a>, Problem> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Document { text, root }),
            Err(error) => Err(Problem {
                line: error.span().map(|span| line_of(text, span.start)),
                key: String::new(),
                message: format!("this is not TOML: {}", one_line(error.message())),
            }),
        }
    }

    /// The line of the key or table at `path`; a number in the path picks an entry of an array.
    pub(super) fn line(&self, path: &str) -> Option<usize> {
        let mut table = self.root.get_ref();
        let mut line = None;
        for step in path.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, index)) => (name, index.trim_end_matches(']').parse().ok()?),
                None => (step, 0),
            };
            let Some((key, value)) = entry(table, name) else { break };
            line = Some(line_of(self.text, key.span().start));
            let value = match value.get_ref() {
                DeValue::Array(items) => items.get(index).unwrap_or(value),
                _ => value,
            };
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        line
    }

    /// What serde says, with the key and line it says it of.
    pub(super) fn explain(&self, error: &toml::de::Error, sections: &[Section]) -> Problem {
        let offset = error.span().map_or(0, |span| span.start);
        let key = path_at(self.root.get_ref(), offset, String::new());
        let kind = section_and_key(sections, &key).map(Key::accepts);
        let message = one_line(error.message());
        Problem {
            line: error.span().map(|span| line_of(self.text, span.start)),
            key,
            message: match kind {
                Some(kind) if message.starts_with("invalid ") => {
                    format!("{message}; write {kind}")
                }
                _ => message,
            },
        }
    }

    /// Everything that does not fit the description: unknown names and numbers out of range.
    pub(super) fn check(&self, sections: &[Section]) -> Vec<Problem> {
        let mut walk = Walk { text: self.text, sections, problems: Vec::new() };
        walk.tables(self.root.get_ref(), "");
        walk.problems
    }
}

/// One pass over the file.
struct Walk<'a> {
    text: &'a str,
    sections: &'a [Section],
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// Tables below `prefix`.
    fn tables(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let path = join(prefix, name.get_ref());
            let within = format!("{path}.");
            if let Some(section) = self.sections.iter().find(|section| section.path == path) {
                self.section(section, &name.span(), value);
            } else if self.sections.iter().any(|section| section.path.starts_with(&within)) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.tables(inner, &path),
                    _ => self.report(&name.span(), &path, format!("write it as [{path}.…]")),
                }
            } else {
                let message = self.unknown_table(&path, name.get_ref());
                self.report(&name.span(), &path, message);
            }
        }
    }

    fn section(&mut self, section: &Section, name: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        match (value.get_ref(), section.repeated) {
            (DeValue::Table(table), false) => self.keys(section, section.path, table),
            (DeValue::Array(items), true) => {
                for (index, item) in items.iter().enumerate() {
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            self.keys(section, &format!("{}[{index}]", section.path), table);
                        }
                        _ => self.report(name, section.path, shape(section)),
                    }
                }
            }
            _ => self.report(name, section.path, shape(section)),
        }
    }

    fn keys(&mut self, section: &Section, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = join(prefix, name.get_ref());
            let inner = self.sections.iter().find(|section| section.path == path);
            match (section.key(name.get_ref()), inner) {
                (_, Some(inner)) => self.section(inner, &name.span(), value),
                (Some(key), None) => self.range(key, &path, value),
                (None, None) => {
                    let message = self.unknown_key(section, name.get_ref());
                    self.report(&name.span(), &path, message);
                }
            }
        }
    }

    fn range(&mut self, key: &Key, path: &str, value: &Spanned<DeValue<'_>>) {
        let (Some((min, max)), DeValue::Integer(integer)) = (key.traits.range, value.get_ref())
        else {
            return;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix());
        if !number.is_ok_and(|number| (min..=max).contains(&number)) {
            let message = format!("{integer} is out of range; write {}", key.accepts());
            self.report(&value.span(), path, message);
        }
    }

    fn unknown_table(&self, path: &str, name: &str) -> String {
        if let Some(section) = self.sections.iter().find(|section| section.key(name).is_some()) {
            return format!("unknown table or key; `{name}` belongs in [{}]", section.path);
        }
        match nearest(path, self.sections.iter().map(|section| section.path)) {
            Some(known) => format!("unknown table; did you mean [{known}]?"),
            None => "unknown table; `jackdaw config default` prints all there are".into(),
        }
    }

    fn unknown_key(&self, section: &Section, name: &str) -> String {
        let elsewhere = self.sections.iter().find(|other| other.key(name).is_some());
        match (elsewhere, nearest(name, section.keys.iter().map(|key| key.name))) {
            (Some(other), _) => format!("unknown key here; `{name}` belongs in [{}]", other.path),
            (None, Some(known)) => format!("unknown key; did you mean `{known}`?"),
            (None, None) => {
                let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
                format!("unknown key; [{}] has: {}", section.path, known.join(", "))
            }
        }
    }

    fn report(&mut self, span: &Range<usize>, key: &str, message: String) {
        let line = Some(line_of(self.text, span.start));
        self.problems.push(Problem { line, key: key.into(), message });
    }
}

fn shape(section: &Section) -> String {
    match section.repeated {
        true => format!("write it as [[{}]], once for each", section.path),
        false => format!("write it as [{}], once", section.path),
    }
}

/// The path of `name` in the table at `prefix`. A name that is not bare is quoted, as in the file:
/// an empty one would name nothing, and one with a dot or a line feed something else.
fn join(prefix: &str, name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let name = match !name.is_empty() && name.bytes().all(is_bare) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{name:?}")),
    };
    if prefix.is_empty() { name.into_owned() } else { format!("{prefix}.{name}") }
}

type Entry<'t, 'a> = (&'t Spanned<Cow<'a, str>>, &'t Spanned<DeValue<'a>>);

fn entry<'t, 'a>(table: &'t DeTable<'a>, name: &str) -> Option<Entry<'t, 'a>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The path of the deepest key whose value covers `offset`.
fn path_at(table: &DeTable<'_>, offset: usize, prefix: String) -> String {
    for (name, value) in table {
        let path = join(&prefix, name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => {
                let found = path_at(inner, offset, path.clone());
                if found != path || value.span().contains(&offset) {
                    return found;
                }
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let DeValue::Table(inner) = item.get_ref() else { continue };
                    let path = format!("{path}[{index}]");
                    let found = path_at(inner, offset, path.clone());
                    if found != path || item.span().contains(&offset) {
                        return found;
                    }
                }
                if value.span().contains(&offset) {
                    return path;
                }
            }
            _ if value.span().contains(&offset) => return path,
            _ => {}
        }
    }
    prefix
}

/// The description of the key at `path`.
fn section_and_key<'s>(sections: &'s [Section], path: &str) -> Option<&'s Key> {
    let (table, name) = path.rsplit_once('.')?;
    let table = table.split_once('[').map_or(table, |(table, _)| table);
    sections.iter().find(|section| section.path == table)?.key(name)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', "; ")
}
