//! What a disk would hold had the power gone: the log of `shim/disk.c`, read and played back. Everything synced is
//! there; of the rest, whatever chance says, down to single sectors, newer writes without older ones included. A file
//! made or removed is so for certain only once its directory was synced. Knows the names of SQLite's files and nothing
//! of what is in them.

use std::collections::BTreeMap;
use std::path::Path;

const MAGIC: u32 = 0x4b53_4944;
const HEAD: usize = 32;
/// Smallest unit a disk writes as a whole.
const SECTOR: usize = 512;
/// How often a chosen write is torn.
const TORN: f64 = 0.3;
/// `DIRECTORY` of `shim/disk.c`.
const DIRECTORY: u32 = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Create,
    Unlink,
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
    Sync,
}

#[derive(Clone, Debug)]
pub struct Record {
    /// Nanoseconds since 1970, before the call.
    pub asked_at: i64,
    file: u32,
    pub what: What,
}

/// The records of a log. A last one that a kill has torn is left out.
pub fn read(log: &Path) -> Vec<Record> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while rest.len() >= HEAD {
        let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), MAGIC, "the log is whole");
        let length = word(28) as usize;
        let Some(bytes) = rest.get(HEAD..HEAD + length) else { break };
        let offset = usize::try_from(long(16)).unwrap();
        let what = match word(4) {
            1 => What::Create,
            2 => What::Unlink,
            3 => What::Write { offset, bytes: bytes.to_vec() },
            4 => What::Truncate { length: offset },
            5 => What::Sync,
            other => panic!("the log is whole, but names a change {other}"),
        };
        records.push(Record { asked_at: i64::try_from(long(8)).unwrap(), file: word(24), what });
        rest = &rest[HEAD + length..];
    }
    records
}

/// One file's contents, apart from its name.
#[derive(Clone, Debug, Default)]
struct Contents {
    synced: Vec<u8>,
    since: Vec<What>,
}

/// A disk in use.
#[derive(Clone, Debug)]
pub struct Disk {
    contents: Vec<Contents>,
    /// Index into `contents` of each file, as the program sees it.
    seen: BTreeMap<u32, usize>,
    /// As of the last sync of the directory.
    synced: BTreeMap<u32, usize>,
    /// What happened to the directory since.
    since: Vec<(u32, Option<usize>)>,
}

/// The files of a queue and their numbers in the log.
const FILES: [(u32, &str); 3] = [(1, ""), (2, "-wal"), (3, "-journal")];

fn beside(queue: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = queue.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Disk {
    /// A disk on which the queue's files are safe as they are.
    pub fn holding(queue: &Path) -> Self {
        let mut disk = Self { contents: Vec::new(), seen: BTreeMap::new(), synced: BTreeMap::new(), since: Vec::new() };
        for (file, suffix) in FILES {
            if let Ok(synced) = std::fs::read(beside(queue, suffix)) {
                disk.seen.insert(file, disk.contents.len());
                disk.contents.push(Contents { synced, since: Vec::new() });
            }
        }
        disk.synced = disk.seen.clone();
        disk
    }

    pub fn play(&mut self, record: &Record) {
        let file = record.file;
        match (&record.what, self.seen.get(&file)) {
            (What::Sync, _) if file == DIRECTORY => {
                for (file, contents) in std::mem::take(&mut self.since) {
                    name(&mut self.synced, file, contents);
                }
            }
            (What::Create, None) => {
                let new = self.contents.len();
                self.contents.push(Contents::default());
                self.seen.insert(file, new);
                self.since.push((file, Some(new)));
            }
            (What::Unlink, Some(_)) => {
                self.seen.remove(&file);
                self.since.push((file, None));
            }
            (What::Sync, Some(&contents)) => {
                let contents = &mut self.contents[contents];
                for change in std::mem::take(&mut contents.since) {
                    apply(&mut contents.synced, &change, |_| true);
                }
            }
            (What::Write { .. } | What::Truncate { .. }, Some(&contents)) => {
                self.contents[contents].since.push(record.what.clone());
            }
            // Written to or synced after it was removed: nobody will find it.
            (What::Write { .. } | What::Truncate { .. } | What::Sync, None) => {}
            (what, found) => panic!("{what:?} of file {file}, which is {found:?}"),
        }
    }

    /// Writes what would be found after a power cut to the files of `queue`: what was synced, and each later change
    /// with this likelihood.
    pub fn after_a_cut(&self, queue: &Path, luck: f64, jitter: &mut fastrand::Rng) {
        let mut names = self.synced.clone();
        // A file system keeps the order of what happened to one name, but not how far it came.
        for (file, contents) in &self.since {
            if jitter.f64() < luck {
                name(&mut names, *file, *contents);
            }
        }
        for (file, suffix) in FILES {
            let Some(&contents) = names.get(&file) else { continue };
            let Contents { synced, since } = &self.contents[contents];
            let mut bytes = synced.clone();
            for change in since {
                if jitter.f64() < luck {
                    let torn = jitter.f64() < TORN;
                    apply(&mut bytes, change, |_| !torn || jitter.bool());
                }
            }
            std::fs::write(beside(queue, suffix), bytes).unwrap();
        }
    }
}

fn name(names: &mut BTreeMap<u32, usize>, file: u32, contents: Option<usize>) {
    match contents {
        Some(contents) => drop(names.insert(file, contents)),
        None => drop(names.remove(&file)),
    }
}

/// Carries a change out, as far as the sectors are `kept`.
fn apply(bytes: &mut Vec<u8>, change: &What, mut kept: impl FnMut(usize) -> bool) {
    match change {
        What::Truncate { length } => bytes.resize(*length, 0),
        What::Write { offset, bytes: new } => {
            let mut at = 0;
            while at < new.len() {
                let sector = (offset + at) / SECTOR;
                let end = new.len().min((sector + 1) * SECTOR - offset);
                if kept(sector) {
                    if bytes.len() < offset + end {
                        bytes.resize(offset + end, 0);
                    }
                    bytes[offset + at..offset + end].copy_from_slice(&new[at..end]);
                }
                at = end;
            }
        }
        What::Create | What::Unlink | What::Sync => {}
    }
}

#[test]
fn what_was_synced_is_there_and_the_rest_is_left_to_chance() {
    let write = |offset, byte| What::Write { offset, bytes: vec![byte; 1024] };
    let home = tempfile::tempdir().unwrap();
    let (before, after) = (home.path().join("before.db"), home.path().join("after.db"));
    std::fs::write(&before, vec![b'-'; 2048]).unwrap();
    let mut disk = Disk::holding(&before);
    let play = |disk: &mut Disk, file, what| disk.play(&Record { asked_at: 0, file, what });
    play(&mut disk, 1, write(0, b'a'));
    play(&mut disk, 1, What::Sync);
    play(&mut disk, 1, write(1024, b'b'));
    play(&mut disk, 2, What::Create);
    play(&mut disk, 2, write(0, b'w'));
    play(&mut disk, 2, What::Sync);
    let mut jitter = fastrand::Rng::with_seed(1);
    disk.after_a_cut(&after, 0.0, &mut jitter);
    let synced = [vec![b'a'; 1024], vec![b'-'; 1024]].concat();
    assert_eq!(std::fs::read(&after).unwrap(), synced, "not synced, not there");
    assert!(!beside(&after, "-wal").exists(), "the name was not synced");
    let found: std::collections::BTreeSet<Vec<u8>> = (0..200)
        .map(|_| {
            disk.after_a_cut(&after, 0.5, &mut jitter);
            std::fs::read(&after).unwrap()
        })
        .collect();
    let halves = |first, second| [vec![b'a'; 1024], vec![first; 512], vec![second; 512]].concat();
    for (first, second) in [(b'-', b'-'), (b'b', b'b'), (b'b', b'-'), (b'-', b'b')] {
        assert!(found.contains(&halves(first, second)), "{} {}", char::from(first), char::from(second));
    }
    play(&mut disk, DIRECTORY, What::Sync);
    disk.after_a_cut(&after, 0.0, &mut jitter);
    assert_eq!(std::fs::read(beside(&after, "-wal")).unwrap(), vec![b'w'; 1024]);
}
