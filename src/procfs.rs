//! Memory figures from `/proc`.

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
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemTotal:       16384 kB\nMemFree:  12 kB\nHugePages_Total:  0\n";
        assert_eq!(parse(text, "MemTotal:"), Some(16 << 20));
        assert_eq!(parse(text, "MemFree:"), Some(12 << 10));
        assert_eq!(parse(text, "HugePages_Total:"), None);
        assert_eq!(parse(text, "Cached:"), None);
    }
}
