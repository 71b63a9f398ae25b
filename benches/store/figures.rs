//! What the kernel says of this process and of the disk.

use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) fn figure(name: &str, value: f64) {
    println!("{name} {value}");
}

/// Bytes this process has caused to go to the block layer.
pub(crate) fn written_bytes() -> u64 {
    proc_figure("/proc/self/io", "write_bytes:")
}

/// Bytes that the device below `dir` has taken, whoever wrote them.
pub(crate) fn device_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let _ = Command::new("sync").arg("-f").arg(dir).status().unwrap();
    let device = fs::metadata(dir).unwrap().dev();
    let stat = format!("/sys/dev/block/{}:{}/stat", libc::major(device), libc::minor(device));
    let sectors = fs::read_to_string(stat).ok();
    let sectors = sectors.as_deref().and_then(|stat| stat.split_whitespace().nth(6));
    sectors.map_or(0, |sectors| 512 * sectors.parse::<u64>().unwrap())
}

pub(crate) fn rss() -> u64 {
    proc_figure("/proc/self/status", "VmRSS:") * 1024
}

pub(crate) fn proc_figure(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}
