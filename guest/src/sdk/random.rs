//! `random::`: numbers that nobody can guess, from a generator (`ChaCha20`) that
//! the host seeds anew for each invocation.

use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use rhai::{Array, Blob, Dynamic, ImmutableString};

use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "random", doc: "Numbers and names that nobody can guess.", register };

/// The most bytes or characters that one call makes.
const MAX_LENGTH: i64 = 65_536;
/// What a token is made of: 64 characters, so that each is six random bits.
const TOKEN_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn register(to: &mut Registrar<'_>, context: &Shared) {
    macro_rules! draw {
        ($signature:literal, $doc:literal, |$rng:ident $(, $arg:ident: $type:ty)*| $body:expr) => {
            let ctx = Rc::clone(context);
            to.function($signature, $doc, move |$($arg: $type),*| {
                ctx.with_random("random", |$rng| $body)
            });
        };
    }
    draw!("uuid() -> string", "A random UUID (version 4).", |rng| Ok(uuid(rng)));
    draw!(
        "int(lo, hi) -> int",
        "A whole number from lo to hi, both included, each as likely as any other.",
        |rng, lo: i64, hi: i64| int(rng, lo, hi)
    );
    draw!("float() -> float", "A number from 0.0 to just under 1.0.", |rng| Ok(float(rng)));
    draw!("bytes(n) -> blob", "n random bytes, up to 65536.", |rng, n: i64| {
        let mut bytes: Blob = vec![0; length(n)?];
        rng.fill_bytes(&mut bytes);
        Ok(bytes)
    });
    draw!(
        "token(n) -> string",
        "n random characters of A-Z a-z 0-9 - _, six random bits each; 22 cannot be guessed.",
        |rng, n: i64| {
            let mut bytes = vec![0; length(n)?];
            rng.fill_bytes(&mut bytes);
            let letter = |byte: &u8| TOKEN_ALPHABET.get(usize::from(byte & 63)).copied();
            Ok(bytes.iter().filter_map(letter).map(char::from).collect::<ImmutableString>())
        }
    );
    draw!(
        "choice(array) -> value",
        "One of the array's values; throws `empty` if it has none.",
        |rng, array: Array| {
            if array.is_empty() {
                return Err(throw("random", "empty", "there is nothing to choose from"));
            }
            let index = below(rng, array.len() as u64);
            Ok(array.into_iter().nth(index_of(index)).unwrap_or(Dynamic::UNIT))
        }
    );
    draw!(
        "shuffle(array) -> array",
        "A new array with the same values in a random order.",
        |rng, array: Array| {
            let mut array = array;
            for i in (1..array.len()).rev() {
                array.swap(i, index_of(below(rng, i as u64 + 1)));
            }
            Ok(array)
        }
    );
}

fn length(n: i64) -> Result<usize> {
    if !(0..=MAX_LENGTH).contains(&n) {
        let message = format!("the length must be from 0 to {MAX_LENGTH}, not {n}");
        return Err(throw("random", "invalid_length", message));
    }
    Ok(usize::try_from(n).unwrap_or(0))
}

fn uuid(rng: &mut ChaCha20Rng) -> ImmutableString {
    let bits = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    let version_4 = (bits & !(0xf << 76)) | (0x4 << 76);
    let id = (version_4 & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff
    )
    .into()
}

fn int(rng: &mut ChaCha20Rng, lo: i64, hi: i64) -> Result<i64> {
    if lo > hi {
        let message = format!("{lo} is more than {hi}: say the lower bound first");
        return Err(throw("random", "invalid_range", message));
    }
    let span = hi.wrapping_sub(lo).cast_unsigned();
    let offset = match span.checked_add(1) {
        Some(count) => below(rng, count),
        None => rng.next_u64(),
    };
    Ok(lo.wrapping_add(offset.cast_signed()))
}

/// 53 random bits, as many as a float between 0 and 1 can hold.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
fn float(rng: &mut ChaCha20Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number below `count`, which is at least 1, each as likely as any other: a
/// draw from the uneven rest at the top of the 64 bits is drawn again.
fn below(rng: &mut ChaCha20Rng, count: u64) -> u64 {
    let rest = (u64::MAX % count + 1) % count;
    loop {
        let draw = rng.next_u64();
        if draw <= u64::MAX - rest {
            return draw % count;
        }
    }
}

/// Numbers below an array's length fit.
fn index_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
