//! A disk that is soon full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own in memory; needs the right to mount.
pub(crate) struct SmallDisk {
    path: PathBuf,
    /// Goes after the file system on it.
    dir: Option<tempfile::TempDir>,
}

impl SmallDisk {
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Self::mount_at(dir.path(), megabytes)?;
        disk.dir = Some(dir);
        Some(disk)
    }

    /// On a folder, which is made.
    pub(crate) fn mount_at(path: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "inferd-test"]).arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self { path: path.to_owned(), dir: None });
        }
        super::skipped("a full disk", "mounting a small one needs root");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room there is, by a file that is to be removed.
    pub(crate) fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let block = [1; 4096];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount");
    }
}
