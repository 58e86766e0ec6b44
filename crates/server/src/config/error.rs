//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1, where one can be named.
    pub line: Option<usize>,
    /// The dotted path of the key or table, empty if the file is no TOML.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// A configuration that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file as the operator named it.
    pub file: String,
    /// Everything that is wrong with it, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(file: &str, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| problem.line);
        ConfigError { file: file.into(), problems }
    }

    pub(super) fn file(file: &str, message: String) -> ConfigError {
        ConfigError::new(file, vec![Problem { line: None, key: String::new(), message }])
    }
}

/// One problem a line, as compilers print them: `file:line: key: message`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}
