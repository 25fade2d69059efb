//! Backups and bundles under a passphrase.
//!
//! ```text
//! "picloud sealed 1\n"  salt: 16 bytes  nonce: 19 bytes  chunk…
//! ```
//! A chunk is 64 KiB, the last one less, sealed with XChaCha20-Poly1305. Its
//! nonce goes on with the chunk's number and with whether it is the last
//! (STREAM: what is cut off, swapped or repeated does not open). The key is
//! Argon2id of the passphrase, with 64 MiB and three rounds.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use clap::Args;

use super::output::Usage;

const MAGIC: &[u8] = b"picloud sealed 1\n";
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 19;
const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const MEMORY_KIB: u32 = 64 << 10;
const ROUNDS: u32 = 3;
const MIN_PASSPHRASE_BYTES: usize = 8;

/// Where the passphrase is.
#[derive(Args)]
pub(super) struct PassphraseArgs {
    /// The file whose first line is the passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// To seal with: what the file has, or, if it is to be `asked` for, what is
    /// typed twice.
    pub(super) fn to_seal(&self, asked: bool) -> anyhow::Result<Option<String>> {
        let passphrase = match &self.passphrase_file {
            Some(file) => first_line(file)?,
            None if !asked => return Ok(None),
            None => {
                let first = prompt("passphrase (it is not shown): ")?;
                if prompt("the same again: ")? != first {
                    bail!("the two are not the same");
                }
                first
            }
        };
        if passphrase.len() < MIN_PASSPHRASE_BYTES {
            let message = format!("a passphrase has at least {MIN_PASSPHRASE_BYTES} bytes");
            return Err(Usage(message).into());
        }
        Ok(Some(passphrase))
    }

    /// What the file holds, opened if it is sealed; each at its start.
    pub(super) fn opened(&self, file: File) -> anyhow::Result<File> {
        let mut file = file;
        if !is_sealed(&mut file)? {
            return Ok(file);
        }
        let passphrase = match &self.passphrase_file {
            Some(file) => first_line(file)?,
            None => prompt("passphrase (it is not shown): ")?,
        };
        let mut opened = tempfile::tempfile()?;
        io::copy(&mut Opening::new(file, &passphrase)?, &mut opened)?;
        io::Seek::rewind(&mut opened)?;
        Ok(opened)
    }
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let mut line = String::new();
    let opened = File::open(file).with_context(|| format!("cannot read {shown}"))?;
    BufReader::new(opened).read_line(&mut line).with_context(|| format!("cannot read {shown}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn prompt(text: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let message = "a passphrase is needed: name a file that has it with --passphrase-file";
        return Err(Usage(message.to_owned()).into());
    }
    rpassword::prompt_password(text).context("cannot read the passphrase")
}

/// Whether a sealed file begins here. The file is at its start afterwards.
fn is_sealed(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    (&mut *file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    io::Seek::rewind(file)?;
    Ok(start == MAGIC)
}

fn cipher(passphrase: &str, salt: &[u8]) -> io::Result<XChaCha20Poly1305> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None).map_err(io::Error::other)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = [0; 32];
    argon2.hash_password_into(passphrase.as_bytes(), salt, &mut key).map_err(io::Error::other)?;
    Ok(XChaCha20Poly1305::new(&Key::from(key)))
}

/// The nonce of the chunk of this number.
fn nonce(prefix: [u8; NONCE_BYTES], number: u32, is_last: bool) -> XNonce {
    let mut nonce = [0; 24];
    let (start, rest) = nonce.split_at_mut(NONCE_BYTES);
    start.copy_from_slice(&prefix);
    let [a, b, c, d] = number.to_be_bytes();
    rest.copy_from_slice(&[a, b, c, d, u8::from(is_last)]);
    XNonce::from(nonce)
}

/// Seals what is written.
pub(super) struct Sealing<W> {
    to: W,
    cipher: XChaCha20Poly1305,
    prefix: [u8; NONCE_BYTES],
    number: u32,
    pending: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub(super) fn new(mut to: W, passphrase: &str) -> io::Result<Self> {
        let (salt, prefix): ([u8; SALT_BYTES], [u8; NONCE_BYTES]) =
            (rand::random(), rand::random());
        to.write_all(MAGIC)?;
        to.write_all(&salt)?;
        to.write_all(&prefix)?;
        let cipher = cipher(passphrase, &salt)?;
        Ok(Self { to, cipher, prefix, number: 0, pending: Vec::new() })
    }

    fn seal(&mut self, chunk: &[u8], is_last: bool) -> io::Result<()> {
        let sealed = self.cipher.encrypt(&nonce(self.prefix, self.number, is_last), chunk);
        self.to.write_all(&sealed.map_err(|_| io::Error::other("it cannot be sealed"))?)?;
        let next = self.number.checked_add(1);
        self.number = next.ok_or_else(|| io::Error::other("it is too long to be sealed"))?;
        Ok(())
    }

    /// Writes the last chunk. Without it, nothing opens what was written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let last = std::mem::take(&mut self.pending);
        self.seal(&last, true)?;
        self.to.flush()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        // One that is full is kept back: it may be the last.
        while self.pending.len() > CHUNK_BYTES {
            let rest = self.pending.split_off(CHUNK_BYTES);
            let chunk = std::mem::replace(&mut self.pending, rest);
            self.seal(&chunk, false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens what is read. Only what is whole comes to its end without an error.
pub(super) struct Opening<R> {
    from: BufReader<R>,
    cipher: XChaCha20Poly1305,
    prefix: [u8; NONCE_BYTES],
    number: u32,
    /// What has been opened, and how much of it was read.
    opened: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl<R: Read> Opening<R> {
    pub(super) fn new(from: R, passphrase: &str) -> io::Result<Self> {
        let mut from = BufReader::with_capacity(CHUNK_BYTES, from);
        let (mut magic, mut salt, mut prefix) =
            ([0; MAGIC.len()], [0; SALT_BYTES], [0; NONCE_BYTES]);
        from.read_exact(&mut magic)?;
        from.read_exact(&mut salt)?;
        from.read_exact(&mut prefix)?;
        if magic != MAGIC {
            return Err(io::Error::other("it is not sealed"));
        }
        let cipher = cipher(passphrase, &salt)?;
        let (opened, read) = (Vec::new(), 0);
        Ok(Self { from, cipher, prefix, number: 0, opened, read, is_over: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        (&mut self.from).take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut sealed)?;
        self.is_over = self.from.fill_buf()?.is_empty();
        let nonce = nonce(self.prefix, self.number, self.is_over);
        let opened = self.cipher.decrypt(&nonce, sealed.as_slice());
        self.opened = opened.map_err(|_| {
            io::Error::other("the passphrase is another, or the file is damaged or cut off")
        })?;
        self.read = 0;
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.opened.len() && !self.is_over {
            self.open_next()?;
        }
        let mut rest = self.opened.get(self.read..).unwrap_or_default();
        let length = rest.read(buffer)?;
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        let mut sealing = Sealing::new(&mut to, "correct horse").unwrap();
        for piece in bytes.chunks(1_000) {
            sealing.write_all(piece).unwrap();
        }
        sealing.finish().unwrap();
        to
    }

    fn open(sealed: &[u8], passphrase: &str) -> io::Result<Vec<u8>> {
        let mut opened = Vec::new();
        Opening::new(sealed, passphrase)?.read_to_end(&mut opened)?;
        Ok(opened)
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_passphrase_alone() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let bytes = vec![7; length];
            let sealed = sealed(&bytes);
            assert_eq!(open(&sealed, "correct horse").unwrap(), bytes, "{length}");
            let error = open(&sealed, "correct house").unwrap_err();
            assert!(error.to_string().contains("the passphrase is another"), "{error}");
        }
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let whole = sealed(&vec![7; 3 * CHUNK_BYTES]);
        let head = MAGIC.len() + SALT_BYTES + NONCE_BYTES;
        let chunk = CHUNK_BYTES + TAG_BYTES;
        let mut swapped = whole.clone();
        swapped[head..head + 2 * chunk].rotate_left(chunk);
        let mut flipped = whole.clone();
        flipped[head + 9] ^= 1;
        let cut = &whole[..head + chunk];
        let longer = [&whole[..], b"more"].concat();
        for bad in [&swapped[..], &flipped, cut, &longer, &whole[..whole.len() - 1], &whole[..9]] {
            open(bad, "correct horse").unwrap_err();
        }
    }
}
