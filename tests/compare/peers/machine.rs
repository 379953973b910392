//! Owns what the benchmark asks of the machine: processors, file descriptors, clocks, memory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::Pid;

/// Which processors the server and the generator run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    /// The server's.
    pub(crate) server: usize,
    /// The generator's.
    pub(crate) generator: usize,
    /// One more, where there is one.
    pub(crate) spare: Option<usize>,
}

impl Processors {
    /// The first processors we may use, or none when there is only one.
    pub(crate) fn find() -> Result<Option<Self>> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("cannot ask for our processors")?;
        let mut usable = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
        let (server, generator, spare) = (usable.next(), usable.next(), usable.next());
        Ok(server.zip(generator).map(|(server, generator)| Self {
            server,
            generator,
            spare,
        }))
    }
}

impl Processors {
    /// All of them.
    pub(crate) fn all(self) -> Vec<usize> {
        let two = [self.server, self.generator];
        two.into_iter().chain(self.spare).collect()
    }
}

/// Binds this thread to these processors.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot choose a processor")
}

/// The arguments of a confined program.
#[derive(clap::Args)]
pub(crate) struct Confined {
    /// The processors it may use
    #[arg(long)]
    processor: Vec<usize>,

    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Confined {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        end_with_parent()?;
        if !self.processor.is_empty() {
            pin(&self.processor)?;
        }
        let (program, rest) = self.command.split_first().context("no program")?;
        let error = Command::new(program).args(rest).exec();
        Err(error).with_context(|| format!("cannot start {}", program.display()))
    }
}

/// Makes this process end when the one that started it ends, however that happens.
pub(crate) fn end_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie our end to our parent's")
}

/// Raises the limit of open files as far as it goes and answers what it is now.
pub(crate) fn raise_open_files() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// The processor time that a process has used so far, all its threads together.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(clock.now()?.into())
}

/// The processor time that this thread has used so far.
pub(crate) fn own_cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// The processor time that this process has used so far, and those of its children that have ended.
pub(crate) fn family_cpu() -> Result<Duration> {
    let mut used = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            used += Duration::from_micros(u64::try_from(time.num_microseconds())?);
        }
    }
    Ok(used)
}

/// How long these processors have run programs so far, all together; all processors if none is named.
pub(crate) fn busy(cpus: &[usize]) -> Result<Duration> {
    busy_in(&fs::read_to_string("/proc/stat")?, cpus)
}

fn busy_in(stat: &str, cpus: &[usize]) -> Result<Duration> {
    // Linux counts in hundredths of a second, whatever its clock does.
    const TICK: Duration = Duration::from_millis(10);
    let mut ticks = 0;
    for line in stat.lines() {
        let mut words = line.split(' ');
        let name = words.next().and_then(|name| name.strip_prefix("cpu"));
        let Some(Ok(cpu)) = name.map(str::parse::<usize>) else {
            continue;
        };
        if cpus.is_empty() || cpus.contains(&cpu) {
            // As a user, as a nice one, as the system.
            for word in words.take(3) {
                ticks += word.parse::<u32>()?;
            }
        }
    }
    Ok(TICK * ticks)
}

/// The machine in a few words.
pub(crate) fn describe() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = info.lines().filter(|line| line.starts_with("processor"));
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let memory = memory.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: u64 = memory.context("no MemTotal in meminfo")?.trim().parse()?;
    // What stands behind the second number is whose kernel it is.
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: Vec<_> = kernel.trim().split('.').take(2).collect();
    Ok(format!(
        "{model}, {} cores, {} GB of memory, Linux {}",
        cores.count(),
        kilobytes.div_ceil(1 << 20),
        kernel.join(".")
    ))
}

/// The memory of a process that is in use now, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: u64 = kilobytes.context("no VmRSS in status")?.trim().parse()?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_processors_named_count_and_idle_time_does_not() {
        let stat = "cpu  9 9 9 9 9\ncpu0 1 2 3 99 5\ncpu1 10 20 30 99 5\nintr 7 7\n";
        let busy = |cpus: &[usize]| busy_in(stat, cpus).expect("numbers").as_millis();
        assert_eq!(busy(&[1]), 600);
        assert_eq!(busy(&[]), 660);
    }
}
