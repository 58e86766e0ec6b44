//! Texts with holes: `{name}` remembers what it met, and must meet the same ever after.

use std::collections::BTreeMap;

/// What the holes of a script have met so far.
pub type Captures = BTreeMap<String, String>;

/// A hole that takes anything and remembers nothing.
const ANY: &str = "any";

/// A hole for an attribute that may be missing altogether.
const MAYBE: &str = "maybe";

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Hole(&'a str),
}

/// Whether an attribute of this value may be missing.
pub fn is_optional(template: &str) -> bool {
    template == "{maybe}"
}

/// Fills the holes. `Err` is the name of one that has met nothing yet.
pub fn fill(template: &str, captures: &Captures) -> Result<String, String> {
    let mut text = String::new();
    for part in parts(template) {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Hole(name) => text.push_str(captures.get(name).ok_or(name)?),
        }
    }
    Ok(text)
}

/// Whether `text` is `template`, with what the holes take added to `captures`.
pub fn matches(template: &str, text: &str, captures: &mut Captures) -> bool {
    // What is known becomes literal, so that the search below meets unknown holes only.
    let mut known = String::new();
    for part in parts(template) {
        match part {
            Part::Literal(literal) => known.push_str(literal),
            Part::Hole(name) => match captures.get(name) {
                Some(value) => known.push_str(value),
                None => known.push_str(&format!("{{{name}}}")),
            },
        }
    }
    let mut rest = text;
    let mut parts = parts(&known).into_iter().peekable();
    while let Some(part) = parts.next() {
        match part {
            Part::Literal(literal) => match rest.strip_prefix(literal) {
                Some(behind) => rest = behind,
                None => return false,
            },
            Part::Hole(name) => {
                let end = match parts.peek() {
                    Some(Part::Literal(literal)) => rest.find(literal),
                    Some(Part::Hole(_)) => None,
                    None => Some(rest.len()),
                };
                let Some(end) = end else { return false };
                let (taken, behind) = rest.split_at(end);
                if name != ANY && name != MAYBE {
                    captures.insert(name.to_owned(), taken.to_owned());
                }
                rest = behind;
            }
        }
    }
    rest.is_empty()
}

/// A hole's name begins with a letter, so that JSON and the like stay literal.
fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut literal = 0;
    let mut from = 0;
    while let Some(open) = template[from..].find('{').map(|at| from + at) {
        let Some(close) = template[open..].find('}').map(|at| open + at) else { break };
        let name = &template[open + 1..close];
        let word = |c: char| c.is_alphanumeric() || " .'_-".contains(c);
        if name.starts_with(char::is_alphabetic) && name.chars().all(word) {
            if literal < open {
                parts.push(Part::Literal(&template[literal..open]));
            }
            parts.push(Part::Hole(name));
            literal = close + 1;
            from = literal;
        } else {
            from = open + 1;
        }
    }
    if literal < template.len() {
        parts.push(Part::Literal(&template[literal..]));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_meets_the_same_text_ever_after() {
        let mut captures = Captures::new();
        assert!(matches("romeo@localhost/{resource}", "romeo@localhost/a/b", &mut captures));
        assert_eq!(captures["resource"], "a/b");
        assert!(matches("{resource}", "a/b", &mut captures));
        assert!(!matches("{resource}", "c", &mut captures));
        assert_eq!(fill("to {resource}!", &captures), Ok("to a/b!".into()));
        assert_eq!(fill("{unknown}", &captures), Err("unknown".into()));
    }

    #[test]
    fn a_hole_in_the_middle_ends_at_the_next_literal() {
        let mut captures = Captures::new();
        assert!(matches("{user}@{host}/x", "romeo@localhost/x", &mut captures));
        assert_eq!((&*captures["user"], &*captures["host"]), ("romeo", "localhost"));
        assert!(!matches("{a}@", "nobody", &mut captures));
    }

    #[test]
    fn any_takes_anything_every_time() {
        let mut captures = Captures::new();
        assert!(matches("{any}", "a", &mut captures) && matches("{any}", "b", &mut captures));
        assert!(captures.is_empty());
    }

    #[test]
    fn other_braces_are_literal() {
        assert!(matches("{\"a\": 1}", "{\"a\": 1}", &mut Captures::new()));
    }
}
