//! Signs grants with a key that is no secret, for tests of whatever verifies them.
//!
//! In: a seed of 64 hexadecimal digits; claims, a JSON object, as further arguments. Out: the key's `x`
//! on the first line, then a grant for each of the claims; exit status 2 for anything else.
//! Deliberately absent: any check of the claims, so that wrong ones can be signed; a secret key, which
//! would stand in the list of processes.

use std::process::ExitCode;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use deepid_grant::Signer;

fn seed(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if !digits.is_ascii() || digits.len() != 64 {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|digits| seed(&digits));
    let Some(signer) = seed.and_then(|seed| Signer::from_seed(&seed).ok()) else {
        eprintln!("sign_grant: needs a seed of 64 hexadecimal digits, then claims");
        return ExitCode::from(2);
    };
    println!("{}", Base64UrlUnpadded::encode_string(signer.public().bytes()));
    for claims in arguments {
        println!("{}", signer.grant(&claims));
    }
    ExitCode::SUCCESS
}
