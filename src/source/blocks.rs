//! Reads a file on a thread of its own, block by block, and hashes it on the way: the records of one block are compared
//! while the next one arrives.

use crate::model::hex;
use crate::records::{BLOCK_BYTES, BLOCK_HEADROOM_BYTES, new_block};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use xxhash_rust::xxh3::Xxh3Default;

/// How many blocks are under way beside the one that is looked at.
const BLOCKS_AHEAD: usize = 2;

/// xxh3-128 of a file, as hex.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileDigest {
    /// Of its first block: most files that differ do so here already.
    pub head: String,
    /// Of all of it.
    pub whole: String,
}

/// Hashes bytes as they come.
#[derive(Default)]
pub(super) struct Hash {
    hash: Xxh3Default,
    head: Option<String>,
}

impl Hash {
    /// Takes the next block. The first one is the head.
    pub(super) fn take(&mut self, bytes: &[u8]) -> &str {
        self.hash.update(bytes);
        self.head.get_or_insert_with(|| hex(&self.hash.digest128().to_be_bytes()))
    }

    pub(super) fn finish(self) -> FileDigest {
        let whole = hex(&self.hash.digest128().to_be_bytes());
        FileDigest { head: self.head.unwrap_or_else(|| whole.clone()), whole }
    }
}

type Filled = std::io::Result<(Vec<u8>, usize)>;

/// Hands on a file's blocks, filled from [`BLOCK_HEADROOM_BYTES`] on, and last a block of 0 bytes; `each` hands back one to
/// be filled again.
///
/// # Errors
/// The file cannot be read, or `each` ended it.
pub(super) fn blocks<E: From<std::io::Error>>(
    file: &File,
    length_bytes: u64,
    mut each: impl FnMut(Vec<u8>, usize) -> Result<Vec<u8>, E>,
) -> Result<FileDigest, E> {
    if length_bytes <= READ_BYTES as u64 {
        return one_after_another(file, &mut each);
    }
    std::thread::scope(|scope| {
        let (give_back, empty) = channel();
        let (fill, filled) = sync_channel(BLOCKS_AHEAD);
        for _ in 0..BLOCKS_AHEAD {
            let _ = give_back.send(new_block());
        }
        let reader = std::thread::Builder::new().name("export".to_owned());
        let reader = reader.spawn_scoped(scope, move || read(file, &empty, &fill))?;
        take(&filled, &give_back, &mut each)?;
        drop(give_back);
        reader.join().map_err(|_| std::io::Error::other("the reading thread ended").into())
    })
}

/// Without a thread, which a small file is not worth.
fn one_after_another<E: From<std::io::Error>>(
    file: &File,
    each: &mut impl FnMut(Vec<u8>, usize) -> Result<Vec<u8>, E>,
) -> Result<FileDigest, E> {
    let (mut hash, mut block) = (Hash::default(), new_block());
    loop {
        let count = fill_and_hash(file, &mut block, &mut hash)?;
        block = each(block, count)?;
        if count == 0 {
            return Ok(hash.finish());
        }
    }
}

fn take<E: From<std::io::Error>>(
    filled: &Receiver<Filled>,
    give_back: &Sender<Vec<u8>>,
    each: &mut impl FnMut(Vec<u8>, usize) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    loop {
        let next = filled.recv().map_err(|_| std::io::Error::other("the reading thread ended"))?;
        let (block, count) = next?;
        let emptied = each(block, count)?;
        if count == 0 {
            return Ok(());
        }
        // Once the file has ended nobody waits for it.
        let _ = give_back.send(emptied);
    }
}

fn read(file: &File, empty: &Receiver<Vec<u8>>, fill: &SyncSender<Filled>) -> FileDigest {
    let mut hash = Hash::default();
    while let Ok(mut block) = empty.recv() {
        let next = fill_and_hash(file, &mut block, &mut hash).map(|count| (block, count));
        let ended = !matches!(&next, Ok((_, count)) if *count > 0);
        if fill.send(next).is_err() || ended {
            break;
        }
    }
    hash.finish()
}

fn fill_and_hash(file: &File, block: &mut [u8], hash: &mut Hash) -> std::io::Result<usize> {
    let room = &mut block[BLOCK_HEADROOM_BYTES..];
    let count = read_block(file, room)?;
    if count > 0 {
        hash.take(&room[..count]);
    }
    Ok(count)
}

/// Fills a block; less than its length only at the end of the file.
pub(super) fn read_block(mut file: &File, room: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match file.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The bytes of a block that are read at a time.
pub(super) const READ_BYTES: usize = BLOCK_BYTES - BLOCK_HEADROOM_BYTES;
