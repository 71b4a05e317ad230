//! What a process has cost until now, as the kernel tells it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use world::Controller;

/// Clock ticks in a second: what Linux tells every process, whatever it counts in itself.
const TICKS: f64 = 100.0;

/// Memory and processor time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Resident memory, MiB.
    pub(super) resident: u64,
    /// The most that it ever was, MiB.
    pub(super) most: u64,
    ticks: u64,
}

impl Cost {
    pub(super) fn of(controller: &Controller) -> Result<Self> {
        Self::of_process(controller.pid().context("the controller does not run")?)
    }

    pub(super) fn of_process(pid: u32) -> Result<Self> {
        let about = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(about.join("status"))?;
        let mebibytes = |field: &str| -> Result<u64> {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|line| line.split_whitespace().next());
            Ok(kib.with_context(|| format!("no {field}"))?.parse::<u64>()? / 1024)
        };
        let stat = fs::read_to_string(about.join("stat"))?;
        // Behind the name, which is in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no fields")?;
        let times = fields.split_whitespace().skip(11).take(2);
        let times: Vec<u64> = times.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            resident: mebibytes("VmRSS:")?,
            most: mebibytes("VmHWM:")?,
            ticks: times.iter().sum(),
        })
    }

    /// Processor time, in user and system mode, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        seconds(self.ticks)
    }

    /// Processor time since an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> f64 {
        seconds(self.ticks.saturating_sub(earlier.ticks))
    }
}

fn seconds(ticks: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    {
        ticks as f64 / TICKS
    }
}
