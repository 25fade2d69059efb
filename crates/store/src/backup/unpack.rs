//! Reading a backup.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::line::{End, Head, Line};
use super::{Error, FORMAT};

/// Bytes of a line at most, so that a file that is none of ours cannot take
/// all memory. The longest of ours is a file of a release in hexadecimal digits.
const MAX_LINE: u64 = 512 << 20;

/// How much is read of what may be made to take all memory, or for ever.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub line_bytes: u64,
    /// Of all lines together.
    pub bytes: u64,
}

impl Bounds {
    pub(super) const NONE: Self = Self { line_bytes: MAX_LINE, bytes: u64::MAX };
}

/// Reads lines up to the last one, which it checks.
pub(super) struct Reader<R, P> {
    source: BufReader<GzDecoder<BufReader<Counted<R, P>>>>,
    hash: Sha256,
    line: Vec<u8>,
    bounds: Bounds,
    end: Option<End>,
}

/// The part of the first line that is the same in every format.
#[derive(Deserialize)]
struct First {
    picloud_backup: Format,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl<R: Read, P: FnMut(u64)> Reader<R, P> {
    /// Reads the first line.
    pub(super) fn new(file: R, bounds: Bounds, progress: P) -> Result<(Head, Self), Error> {
        let counted = Counted { file, bytes: 0, progress };
        let source = BufReader::new(GzDecoder::new(BufReader::new(counted)));
        let mut reader = Self { source, hash: Sha256::new(), line: Vec::new(), bounds, end: None };
        // What does not even begin as one is no backup; what breaks off later
        // is a damaged one.
        match reader.read_line() {
            Err(Error::Damaged(_) | Error::TooLarge) => return Err(Error::Foreign),
            read => read?,
        }
        // Another format's first line may say other things.
        let First { picloud_backup: Format { format } } =
            serde_json::from_slice(&reader.line).map_err(|_| Error::Foreign)?;
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        let Line::Head(head) = parse(&reader.line)? else { return Err(Error::Foreign) };
        reader.hash.update(&reader.line);
        Ok((head, reader))
    }

    /// The next line; `None` once the last one was read and found right.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        if self.end.is_some() {
            return Ok(None);
        }
        self.read_line()?;
        if let Line::End(end) = parse(&self.line)? {
            self.check(end)?;
            return Ok(None);
        }
        self.hash.update(&self.line);
        parse(&self.line).map(Some)
    }

    /// The last line, of a backup that has been read to its end.
    pub(super) fn finish(self) -> Result<End, Error> {
        self.end.ok_or_else(|| Error::Damaged("it was not read to its end".to_owned()))
    }

    fn read_line(&mut self) -> Result<(), Error> {
        self.line.clear();
        let most = self.bounds.line_bytes.min(self.bounds.bytes);
        let mut limited = (&mut self.source).take(most);
        let read = limited.read_until(b'\n', &mut self.line).map_err(unreadable)? as u64;
        self.bounds.bytes -= read;
        if read == most {
            return Err(Error::TooLarge);
        }
        if self.line.last() == Some(&b'\n') {
            return Ok(());
        }
        Err(Error::Damaged("it ends too early".to_owned()))
    }

    /// Checks the last line, and that it is the last.
    fn check(&mut self, end: End) -> Result<(), Error> {
        let sum = hex::encode(std::mem::take(&mut self.hash).finalize());
        if sum != end.sha256 {
            return Err(Error::Damaged("its checksum is another".to_owned()));
        }
        // Reads the trailer of the compression, too, which has a checksum.
        let is_last = self.source.fill_buf().map_err(unreadable)?.is_empty()
            && self.source.get_mut().get_mut().fill_buf().map_err(unreadable)?.is_empty();
        if !is_last {
            return Err(Error::Damaged("something follows its end".to_owned()));
        }
        self.end = Some(end);
        Ok(())
    }
}

fn parse(line: &[u8]) -> Result<Line<'_>, Error> {
    let line = std::str::from_utf8(line).map_err(|_| Error::Damaged("it is not text".into()))?;
    serde_json::from_str(line)
        .map_err(|error| Error::Damaged(format!("a line is not understood ({error})")))
}

/// The decompressor's own errors are about the file's contents, others are not.
fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Error::Damaged(error.to_string())
        }
        io::ErrorKind::UnexpectedEof => Error::Damaged("it ends too early".to_owned()),
        _ => Error::Unreadable(error),
    }
}

/// A file that tells how far it was read.
struct Counted<R, P> {
    file: R,
    bytes: u64,
    progress: P,
}

impl<R: Read, P: FnMut(u64)> Read for Counted<R, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.bytes += length as u64;
        (self.progress)(self.bytes);
        Ok(length)
    }
}
