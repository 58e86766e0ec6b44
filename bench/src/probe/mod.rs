//! What can be measured again and again: something that runs, and a load for it.

mod allocations;
mod churn;
mod idle;
mod latency;
mod load;
mod login;
mod offline;
mod storage;

pub use allocations::Allocations;
pub use churn::Churn;
pub use idle::Idle;
pub use latency::Latency;
pub use load::{broadcast, chat, ping};
pub use login::{FastLogin, ScramLogin};
pub use offline::OfflineMessages;
pub use storage::{StorageFigure, serve as commit_for_figure};

use std::sync::Arc;
use std::time::Duration;

use jackdaw_loadtest::{Method, Plan};

use crate::Result;
use crate::process::{self, Cpu};
use crate::server::{self, PASSWORD};

/// How long a whole crowd may take to come or to go.
const PATIENCE: Duration = Duration::from_secs(600);

/// One side of a row. What it needs stays up between measurements, and rests.
pub trait Probe {
    /// Measures for about `duration`: a value for every metric of the row.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>>;
}

/// The account `n`, by SCRAM.
fn account(n: usize) -> Plan {
    account_by(n, Method::ScramSha256)
}

fn account_by(n: usize, method: Method) -> Plan {
    let password: Arc<str> = PASSWORD.into();
    Plan::new(server::local(n), &password, method)
}

/// Microseconds of `time` per one of `count`.
fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Waits until a process that gets nothing to do has nothing left to do.
fn settle(cpu: &mut Cpu) -> Result<()> {
    /// A process that uses less of a core than this is at rest.
    const REST: f64 = 0.01;
    /// Long enough to tell.
    const LOOK: Duration = Duration::from_millis(200);
    let end = process::now() + process::SLACK;
    while process::now() < end {
        let before = cpu.read()?;
        let look = process::now() + LOOK;
        while process::now() < look {
            process::pause();
        }
        if (cpu.read()? - before).as_secs_f64() < REST * LOOK.as_secs_f64() {
            return Ok(());
        }
    }
    Err("the process does not come to rest".into())
}
