//! An app's files as a tar archive, compressed with gzip or not.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, Entry, EntryType, Header};

use crate::{Error, ReleaseCaps, path};

/// What an archive may take per file beside its contents: headers, padding,
/// long names, folders.
const OVERHEAD_BYTES: u64 = 4 * 1024;

/// Reads an archive's files into memory, which takes some time: call it where
/// blocking is allowed.
///
/// Reading stops where a cap is exceeded, so a bomb costs no more than a
/// release of full size. Folders are skipped; links, devices and whatever else
/// is not a file are refused.
///
/// # Errors
/// [`Error::InvalidArchive`], [`Error::InvalidPath`], [`Error::ReleaseTooLarge`],
/// [`Error::TooManyFiles`].
pub fn unpack(archive: &[u8], caps: &ReleaseCaps) -> Result<BTreeMap<String, Bytes>, Error> {
    let is_gzip = archive.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read + '_> =
        if is_gzip { Box::new(GzDecoder::new(archive)) } else { Box::new(archive) };
    let room = caps.files.saturating_add(16).saturating_mul(OVERHEAD_BYTES);
    let mut limited = plain.take(room.saturating_add(caps.bytes));
    let result = read_entries(Archive::new(&mut limited), caps);
    match result {
        // Whatever the parser made of the end, it was not the archive's own.
        _ if limited.limit() == 0 => Err(Error::ReleaseTooLarge { max_bytes: caps.bytes }),
        Ok(files) if files.is_empty() => Err(Error::InvalidArchive("it holds no file".to_owned())),
        result => result,
    }
}

/// Writes files into an archive compressed with gzip, the same files always
/// into the same bytes.
///
/// # Errors
/// A path that tar cannot express.
pub fn pack(files: &BTreeMap<String, Bytes>) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, contents) in files {
        let mut header = Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, contents.as_ref())?;
    }
    archive.into_inner()?.finish()
}

fn read_entries<R: Read>(
    mut archive: Archive<R>,
    caps: &ReleaseCaps,
) -> Result<BTreeMap<String, Bytes>, Error> {
    let mut files = BTreeMap::new();
    let mut total_bytes = 0_u64;
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = path_of(&entry)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Link | EntryType::Symlink => {
                return Err(Error::InvalidArchive(format!("{path:?} is a link")));
            }
            _ => return Err(Error::InvalidArchive(format!("{path:?} is not a file"))),
        }
        path::check(&path)?;
        total_bytes = total_bytes.saturating_add(entry.size());
        if total_bytes > caps.bytes {
            return Err(Error::ReleaseTooLarge { max_bytes: caps.bytes });
        }
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).map_err(unreadable)?;
        if contents.len() as u64 != entry.size() {
            return Err(Error::InvalidArchive(format!("it ends within {path:?}")));
        }
        if files.insert(path.clone(), Bytes::from(contents)).is_some() {
            return Err(Error::InvalidArchive(format!("it holds {path:?} twice")));
        }
        if files.len() as u64 > caps.files {
            return Err(Error::TooManyFiles { max_files: caps.files });
        }
    }
    Ok(files)
}

fn path_of<R: Read>(entry: &Entry<'_, R>) -> Result<String, Error> {
    let bytes = entry.path_bytes();
    let path = std::str::from_utf8(&bytes).map_err(|_| Error::InvalidPath {
        path: String::from_utf8_lossy(&bytes).into_owned(),
        reason: "is not UTF-8",
    })?;
    // `tar c .` puts this before every name.
    Ok(path.strip_prefix("./").unwrap_or(path).to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreadable(error: io::Error) -> Error {
    Error::InvalidArchive(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CAPS: ReleaseCaps = ReleaseCaps { bytes: 1_000, files: 3 };

    /// An archive with one entry per tuple, its name written as it is.
    fn tar(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (name, kind, contents) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(*kind);
            header.set_size(contents.len() as u64);
            header.set_cksum();
            archive.append(&header, *contents).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn names(files: &BTreeMap<String, Bytes>) -> Vec<&str> {
        files.keys().map(String::as_str).collect()
    }

    fn check_refused(archive: &[u8], code: &str, message: &str) {
        let error = unpack(archive, &CAPS).expect_err(message);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let long = format!("{}/x.txt", "folder/".repeat(30).trim_end_matches('/'));
        let files = BTreeMap::from([
            ("index.rhai".to_owned(), Bytes::from_static(b"1 + 1")),
            ("empty".to_owned(), Bytes::new()),
            (long, Bytes::from_static(b"\0\xff")),
        ]);
        let packed = pack(&files).unwrap();
        assert_eq!(packed, pack(&files).unwrap());
        assert_eq!(unpack(&packed, &CAPS).unwrap(), files);
    }

    #[test]
    fn plain_and_compressed_archives_are_the_same() {
        let plain = tar(&[
            (b"./", EntryType::Directory, b""),
            (b"./index.rhai", EntryType::Regular, b"1"),
            (b"lib/", EntryType::Directory, b""),
            (b"lib/a.rhai", EntryType::Continuous, b"2"),
        ]);
        let files = unpack(&plain, &CAPS).unwrap();
        assert_eq!(names(&files), ["index.rhai", "lib/a.rhai"]);
        assert_eq!(unpack(&gzip(&plain), &CAPS).unwrap(), files);
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        for (kind, message) in [
            (EntryType::Symlink, "is a link"),
            (EntryType::Link, "is a link"),
            (EntryType::Char, "is not a file"),
            (EntryType::Block, "is not a file"),
            (EntryType::Fifo, "is not a file"),
            (EntryType::new(b'V'), "is not a file"),
        ] {
            check_refused(&tar(&[(b"x", kind, b"")]), "invalid_archive", message);
        }
        let sparse = unpack(&tar(&[(b"x", EntryType::GNUSparse, b"")]), &CAPS);
        assert_eq!(sparse.unwrap_err().code(), "invalid_archive");
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for name in [&b"../x"[..], b"a/../../x", b"/etc/passwd", b"./../x", b"a\\x", b"a//b", b"./"]
        {
            let archive = tar(&[(name, EntryType::Regular, b"")]);
            assert_eq!(unpack(&archive, &CAPS).unwrap_err().code(), "invalid_path", "{name:?}");
        }
        let archive = tar(&[(b"\xff.rhai", EntryType::Regular, b"")]);
        check_refused(&archive, "invalid_path", "is not UTF-8");
    }

    #[test]
    fn a_file_comes_once() {
        let archive = tar(&[(b"a", EntryType::Regular, b"1"), (b"./a", EntryType::Regular, b"2")]);
        check_refused(&archive, "invalid_archive", "twice");
    }

    #[test]
    fn caps_hold_to_the_byte_and_the_file() {
        let file = |contents: &'static [u8]| (&b"a"[..], EntryType::Regular, contents);
        assert!(unpack(&tar(&[file(&[7; 1_000])]), &CAPS).is_ok());
        check_refused(&tar(&[file(&[7; 1_001])]), "release_too_large", "1000 bytes");

        let files: Vec<_> =
            [b"a", b"b", b"c", b"d"].map(|name| (&name[..], EntryType::Regular, &b""[..])).into();
        assert!(unpack(&tar(&files[..3]), &CAPS).is_ok());
        check_refused(&tar(&files), "too_many_files", "3 files");
    }

    #[test]
    fn bombs_are_not_unpacked() {
        // One huge file; a huge number of folders; a huge name.
        let huge = vec![0; 50 << 20];
        let bomb = gzip(&tar(&[(b"a", EntryType::Regular, &huge)]));
        assert!(bomb.len() < 100_000);
        check_refused(&bomb, "release_too_large", "");

        let folder = tar(&[(b"d/", EntryType::Directory, b"")]);
        let folders: Vec<u8> = folder[..512].repeat(100_000);
        check_refused(&gzip(&folders), "release_too_large", "");

        let name = vec![b'a'; 50 << 20];
        let long = gzip(&tar(&[(b"././@LongLink", EntryType::GNULongName, &name)]));
        check_refused(&long, "release_too_large", "");

        // A header that promises more than there is takes no memory for it.
        let mut header = Header::new_gnu();
        header.set_path("a").unwrap();
        header.set_size(u64::MAX >> 1);
        header.set_cksum();
        check_refused(header.as_bytes(), "release_too_large", "");
    }

    #[test]
    fn rubbish_is_refused() {
        let whole = tar(&[(b"a", EntryType::Regular, b"contents")]);
        for (bytes, message) in [
            (&b""[..], "holds no file"),
            (b"not an archive, only a text of some length, repeated a little", ""),
            (&whole[..300], ""),
            (&whole[..515], "ends within"),
            (&gzip(&whole)[..40], ""),
            (&[0x1f, 0x8b], ""),
            (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff], ""),
            (&[0xff; 2_048], ""),
        ] {
            check_refused(bytes, "invalid_archive", message);
        }
    }
}
