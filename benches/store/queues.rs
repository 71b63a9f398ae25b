//! The queues that are compared.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store};

use crate::GROUP;

/// A durable first-in, first-out queue.
pub(crate) trait Queue {
    fn push(&mut self, group: Vec<Record>);
    /// Takes the oldest group; how many that were.
    fn pop(&mut self) -> u64;
    fn reopen(&mut self);
    /// Prints what a process of its own takes to open it, where that is of interest.
    fn opened_alone(&mut self) {}
    fn syncs(&self) -> u64;
}

pub(crate) struct Inferd {
    dir: PathBuf,
    store: Option<Store>,
    loaded: std::collections::VecDeque<Seq>,
    after: Option<Seq>,
}

impl Inferd {
    pub(crate) fn open(dir: &Path) -> Self {
        let settings = Settings {
            dir: dir.to_owned(),
            max_bytes: 1 << 30,
            max_records: 1 << 30,
            reserve_bytes: 0,
        };
        let (store, _) = Store::open(&settings).unwrap();
        let dir = dir.to_owned();
        Self { dir, store: Some(store), loaded: Default::default(), after: None }
    }
}

impl Queue for Inferd {
    fn push(&mut self, group: Vec<Record>) {
        self.store.as_mut().unwrap().append(&group).unwrap();
    }

    fn pop(&mut self) -> u64 {
        let store = self.store.as_mut().unwrap();
        if self.loaded.is_empty() {
            let loaded = store.load(self.after, 128).unwrap();
            self.after = loaded.through;
            self.loaded.extend(loaded.records.iter().map(|record| record.seq));
        }
        let seqs: Vec<Seq> = (0..GROUP).map_while(|_| self.loaded.pop_front()).collect();
        store.remove(&seqs).unwrap();
        seqs.len() as u64
    }

    fn reopen(&mut self) {
        self.store = None;
        *self = Self::open(&self.dir.clone());
    }

    fn opened_alone(&mut self) {
        self.store = None;
        let mut program = Command::new(std::env::current_exe().unwrap());
        let alone = program.args(["--contender", "open", "--dir"]).arg(&self.dir).output().unwrap();
        print!("{}", String::from_utf8_lossy(&alone.stdout));
    }

    fn syncs(&self) -> u64 {
        self.store.as_ref().unwrap().usage().syncs
    }
}

/// The least that could do: a file that grows, and a second one with the place of the oldest.
pub(crate) struct Log {
    dir: PathBuf,
    log: File,
    head: File,
    place: u64,
    syncs: u64,
}

impl Log {
    pub(crate) fn open(dir: &Path) -> Self {
        let open = |name| {
            let options =
                File::options().read(true).write(true).create(true).truncate(false).clone();
            options.open(dir.join(name)).unwrap()
        };
        let (mut log, head) = (open("log"), open("head"));
        log.seek(SeekFrom::End(0)).unwrap();
        let place = fs::read(dir.join("head")).unwrap();
        let place = place.try_into().map_or(0, u64::from_le_bytes);
        Self { dir: dir.to_owned(), log, head, place, syncs: 0 }
    }
}

impl Queue for Log {
    fn push(&mut self, group: Vec<Record>) {
        let mut bytes = Vec::new();
        for record in &group {
            bytes.extend(u32::try_from(record.message.payload.len()).unwrap().to_le_bytes());
            bytes.extend(record.message.topic.as_bytes());
            bytes.extend(&record.message.payload);
        }
        bytes.splice(0..0, (bytes.len() as u64).to_le_bytes());
        self.log.write_all(&bytes).unwrap();
        self.log.sync_data().unwrap();
        self.syncs += 1;
    }

    fn pop(&mut self) -> u64 {
        let mut len = [0; 8];
        let reader = File::open(self.dir.join("log")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut len, self.place).unwrap();
        let mut group = vec![0; usize::try_from(u64::from_le_bytes(len)).unwrap()];
        std::os::unix::fs::FileExt::read_exact_at(&reader, &mut group, self.place + 8).unwrap();
        self.place += 8 + group.len() as u64;
        if self.place == self.log.metadata().unwrap().len() {
            self.log.set_len(0).unwrap();
            self.log.seek(SeekFrom::Start(0)).unwrap();
            self.place = 0;
        }
        self.head.seek(SeekFrom::Start(0)).unwrap();
        self.head.write_all(&self.place.to_le_bytes()).unwrap();
        self.head.sync_data().unwrap();
        self.syncs += 1;
        GROUP
    }

    fn reopen(&mut self) {
        let syncs = self.syncs;
        *self = Self::open(&self.dir.clone());
        self.syncs = syncs;
    }

    fn syncs(&self) -> u64 {
        self.syncs
    }
}
