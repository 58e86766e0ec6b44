//! The configuration: any text is a configuration, or is answered with what to change and where.

use jackdaw_server::config::Config;

/// The text of a configuration file.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse("jackdaw.toml", &text) {
        Ok(config) => assert_eq!(Config::parse("jackdaw.toml", &text), Ok(config)),
        Err(error) => {
            assert!(!error.problems.is_empty(), "refused without a reason");
            let lines = text.lines().count().max(1);
            for problem in &error.problems {
                assert!(!problem.message.is_empty());
                let is_toml = !problem.message.starts_with("this is not TOML");
                assert!(!is_toml || !problem.key.is_empty(), "which key? {problem:?}");
                assert!(problem.line.is_none_or(|line| (1..=lines + 1).contains(&line)));
            }
            assert!(error.to_string().starts_with("jackdaw.toml"));
        }
    }
}
