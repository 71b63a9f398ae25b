//! Figures of this process and of the machine from `/proc`.

use std::fs;

/// Returns the resident memory of this process, in bytes; `None` if Linux does not report it.
pub(crate) fn rss_bytes() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Returns the peak of this process's resident memory, in bytes; `None` if Linux does not report it.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Returns the memory of this machine, in bytes; `None` if Linux does not report it.
pub(crate) fn ram_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemTotal:")
}

/// Ticks of the processor times in `/proc`: `USER_HZ`, 100 on all processors that inferd runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc/self/stat` says of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    /// Of user and system, since the start.
    pub(crate) cpu_seconds: f64,
    pub(crate) threads: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) resident_bytes: u64,
}

/// `None` if Linux does not report it.
pub(crate) fn process() -> Option<Process> {
    let mut process = parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)?;
    process.resident_bytes = rss_bytes()?;
    Some(process)
}

/// Open files of this process; `None` if Linux does not report them.
pub(crate) fn open_files() -> Option<usize> {
    // The folder itself is open while it is read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1))
}

/// The fields of `proc_pid_stat(5)` after the name of the program, which may contain anything.
fn parse_stat(text: &str) -> Option<Process> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // The state is field 3.
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
    let ticks = field(14)?.checked_add(field(15)?)? as f64;
    let (cpu_seconds, threads) = (ticks / TICKS_PER_SECOND, field(20)?);
    Some(Process { cpu_seconds, threads, virtual_bytes: field(23)?, resident_bytes: 0 })
}

/// Returns the memory that programs can still take without swapping, in bytes: that of the machine,
/// or of the container or service if that is less. `None` if Linux does not report it.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = field("/proc/meminfo", "MemAvailable:")?;
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    // Of a control group as containers see theirs; "max" is not a number.
    let group = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    Some(group.map_or(machine, |max| machine.min(max.saturating_sub(used))))
}

/// Reads a field in kilobytes and returns it in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    parse(&fs::read_to_string(file).ok()?, name)
}

fn parse(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_within_its_peak_and_the_machine() {
        let (rss, peak, ram) =
            (rss_bytes().unwrap(), peak_rss_bytes().unwrap(), ram_bytes().unwrap());
        assert!(rss > 100_000 && peak > 1 << 20 && ram > peak);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 500 4096 77";
        let read = parse_stat(text).unwrap();
        assert_eq!((read.cpu_seconds, read.threads, read.virtual_bytes), (3.0, 9, 4096));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        let own = process().unwrap();
        assert!(own.threads >= 1 && own.virtual_bytes >= own.resident_bytes, "{own:?}");
        assert!(open_files().unwrap() >= 3);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemTotal:       16384 kB\nMemFree:  12 kB\nHugePages_Total:  0\n";
        assert_eq!(parse(text, "MemTotal:"), Some(16 << 20));
        assert_eq!(parse(text, "MemFree:"), Some(12 << 10));
        assert_eq!(parse(text, "HugePages_Total:"), None);
        assert_eq!(parse(text, "Cached:"), None);
    }
}
