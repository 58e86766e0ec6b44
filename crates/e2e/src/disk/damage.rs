//! T08: bits change and files end early, in every file of the data directory.
//!
//! What each engine file does under damage at every place is tested in the engine's crate; this is
//! about the process: that it says which file it is, or serves what it always served.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::stage::{Play, check_ledger, collect, large, message, settle};
use crate::error::{Error, Result};
use crate::server::Launch;

/// Messages that have to be there.
const MESSAGES: usize = 25;

/// Large messages for somebody else, so that there are tables beside the log.
const LARGE: usize = 30;

/// Bytes of each.
const BODY: usize = 200_000;

/// How long the check of all tables may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to look for its end.
const GLANCE: Duration = Duration::from_millis(5);

/// What can be left out: the lock has no content, and what is in `run` is made at every start.
const INDIFFERENT: [&str; 2] = ["lock", "run"];

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit flips at this tenth of what is used of the file.
    Flip(usize),
    /// It ends at this tenth.
    Cut(usize),
}

const DAMAGE: [Damage; 4] = [Damage::Flip(0), Damage::Flip(5), Damage::Flip(9), Damage::Cut(5)];

/// See [`super::TESTS`].
pub fn run(launch: &Launch) -> Result<()> {
    let mut play = Play::begin_on_disk(launch)?;
    let ids: Vec<String> = (0..MESSAGES).map(|n| format!("kept-{n}")).collect();
    {
        let mut romeo = play.enter("romeo")?;
        for n in 0..LARGE {
            romeo.send(&large("benvolio", &format!("large-{n}"), BODY))?;
        }
        ids.iter().try_for_each(|id| romeo.send(&message("juliet", id)))?;
        if !settle(&mut romeo)?.is_empty() {
            return Err(Error::unexpected("a message was refused"));
        }
    }
    play.server.kill()?;
    let data = play.server.folder().join("data");
    let pristine = play.server.folder().join("pristine");
    copy(&data, &pristine).map_err(Error::io("copying the data directory"))?;
    let mut wrong = Vec::new();
    for file in files(&pristine).map_err(Error::io("listing the data directory"))? {
        for damage in DAMAGE {
            let restored = fs::remove_dir_all(&data).and_then(|()| copy(&pristine, &data));
            restored.map_err(Error::io("restoring the data directory"))?;
            inflict(&data.join(&file), damage).map_err(Error::io("damaging a file"))?;
            if let Err(error) = judge(&mut play, &file, &ids) {
                wrong.push(format!("{} after {damage:?}: {error}", file.display()));
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::unexpected(wrong.join("\n    "))),
    }
}

/// Refused by name, found by name, or the same as ever.
fn judge(play: &mut Play, file: &Path, ids: &[String]) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    play.server.clear_log();
    if play.server.start().is_err() {
        let log = play.server.log();
        play.server.forget();
        return match log.contains(&name) {
            true => Ok(()),
            false => Err(Error::unexpected(format!("refused without its name: {}", last(&log)))),
        };
    }
    let deadline = Instant::now() + PATIENCE;
    let judged = loop {
        let (status, reasons) = play.readiness()?;
        if status != 200 && reasons.contains(&name) {
            break Ok(());
        }
        if play.server.log().contains("the tables of the store were checked") {
            let arrived = collect(play, "juliet", ids.len())?;
            break check_ledger(ids, ids, &arrived);
        }
        if Instant::now() > deadline {
            break Err(Error::unexpected(format!("/readyz is {status} `{reasons}`")));
        }
        std::thread::sleep(GLANCE);
    };
    play.server.kill()?;
    judged
}

fn last(log: &str) -> &str {
    log.lines().last().unwrap_or_default()
}

fn inflict(file: &Path, damage: Damage) -> io::Result<()> {
    let bytes = fs::read(file)?;
    // A segment of the log is zeros behind its end.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match damage {
        Damage::Flip(tenth) => {
            let Some(byte) = bytes.get(used * tenth / 10) else { return Ok(()) };
            let open = fs::OpenOptions::new().write(true).open(file)?;
            open.write_all_at(&[byte ^ 0x10], (used * tenth / 10) as u64)
        }
        Damage::Cut(tenth) => {
            fs::OpenOptions::new().write(true).open(file)?.set_len((used * tenth / 10) as u64)
        }
    }
}

/// Every file below, by its way from there.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = folder.join(&name);
            if INDIFFERENT.iter().any(|indifferent| name == *indifferent) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
