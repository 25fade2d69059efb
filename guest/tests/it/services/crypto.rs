use super::{Case, Failure};
use crate::fake::{code, get, thrown};

pub const CASES: &[Case] = &[
    ("password_hash(password) -> string", r#"crypto::password_hash("pw")"#, "hash of pw"),
    (
        "password_verify(password, hash) -> bool",
        r#"[crypto::password_verify("pw", "hash of pw"), crypto::password_verify("p", "hash of pw")]"#,
        "[true,false]",
    ),
    // FIPS 180-2, RFC 4231 and RFC 7515 give these.
    (
        "sha256(data) -> string",
        r#"[crypto::sha256("abc") == crypto::sha256(hex::decode("616263")), crypto::sha256("abc")]"#,
        r#"[true,"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]"#,
    ),
    (
        "sha256(data, #{encoding}) -> string",
        r#"["base64", "base64url", "hex", ()].map(|e| crypto::sha256("abc", #{encoding: e}).sub_string(0, 12)) + [crypto::sha256("abc", #{encoding: "bytes"}).len]"#,
        r#"["ungWv48Bz+pB","ungWv48Bz-pB","ba7816bf8f01","ba7816bf8f01",32]"#,
    ),
    (
        "sha512(data) -> string",
        r#"crypto::sha512("").sub_string(0, 20) + crypto::sha512("").len"#,
        "cf83e1357eefb8bdf154128",
    ),
    (
        "sha512(data, #{encoding}) -> string",
        r#"crypto::sha512("abc", #{encoding: "base64"})"#,
        "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
    ),
    (
        "hmac_sha256(key, data) -> string",
        r#"crypto::hmac_sha256("Jefe", "what do ya want for nothing?")"#,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        "hmac_sha256(key, data, #{encoding}) -> string",
        r#"hex::encode(crypto::hmac_sha256(hex::decode("4a656665"), "what do ya want for nothing?", #{encoding: "bytes"}))"#,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        "hmac_sha512(key, data) -> string",
        r#"crypto::hmac_sha512("Jefe", "what do ya want for nothing?").sub_string(0, 32)"#,
        "164b7a7bfcf819e2e395fbe73b56e0a3",
    ),
    (
        "hmac_sha512(key, data, #{encoding}) -> string",
        r#"crypto::hmac_sha512("Jefe", "what do ya want for nothing?", #{encoding: "base64url"}).sub_string(0, 8)"#,
        "Fkt6e_z4",
    ),
    (
        "equal(a, b) -> bool",
        r#"[crypto::equal("a", "a"), crypto::equal("a", blob(1, 97)), crypto::equal("a", "b"), crypto::equal("a", "ab"), crypto::equal("", ""), crypto::equal((), ()), crypto::equal("a", ())]"#,
        "[true,true,false,false,true,false,false]",
    ),
    (
        "jwt_sign(claims, key) -> string",
        r#"crypto::jwt_sign(#{sub: "ann"}, "key")"#,
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4ifQ.HYl7YunO5Rohhr3JEVx5eimO6xeIIC3T-H0448pgNfk",
    ),
    (
        "jwt_sign(claims, key, #{algorithm, header, ttl}) -> string",
        r#"
        let t = crypto::jwt_sign(#{sub: "ann"}, "key", #{algorithm: "HS512"});
        let u = crypto::jwt_sign(#{}, "key", #{header: #{kid: "1"}, ttl: 60}).split(".");
        [t, base64::decode_text(u[0]), base64::decode_text(u[1])]
        "#,
        r#"["eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4ifQ.OOoi-vIHr0AF_p85t-a1oFnNPdbpxcPoIpLMThgLNAvBu9oleSd5Y2Mdwr1tS2Speww8-CuzNe3KeIM0ru6wnw","{\"alg\":\"HS256\",\"kid\":\"1\",\"typ\":\"JWT\"}","{\"exp\":1700000060,\"iat\":1700000000}"]"#,
    ),
    (
        "jwt_verify(token, key) -> map",
        r#"crypto::jwt_verify("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c", "your-256-bit-secret")"#,
        r#"{"iat":1516239022,"name":"John Doe","sub":"1234567890"}"#,
    ),
    (
        "jwt_verify(token, key, #{algorithm, leeway, audience, issuer}) -> map",
        r#"
        let t = crypto::jwt_sign(#{aud: ["a", "b"], iss: "i", exp: 1700000000, nbf: 1700000005.5}, "key", #{algorithm: "HS384"});
        crypto::jwt_verify(t, "key", #{algorithm: "HS384", leeway: 5, audience: "b", issuer: "i"}).iss
        "#,
        "i",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"crypto::password_hash("")"#, "invalid_password"),
    (r#"crypto::password_verify("a", "none")"#, "invalid_hash"),
    ("crypto::sha256(5)", "invalid_argument"),
    (r#"crypto::sha256("", #{encoding: "ascii"})"#, "invalid_option"),
    (r#"crypto::hmac_sha256("", "data")"#, "invalid_key"),
    (r#"crypto::hmac_sha256((), "data")"#, "invalid_argument"),
    ("crypto::equal(1, 1)", "invalid_argument"),
    (r#"crypto::jwt_sign(#{}, "")"#, "invalid_key"),
    (r#"crypto::jwt_sign(#{f: |x| x}, "key")"#, "invalid_value"),
    (r#"crypto::jwt_sign(#{}, "key", #{algorithm: "none"})"#, "invalid_option"),
    (r#"crypto::jwt_sign(#{}, "key", #{header: #{alg: "none"}})"#, "invalid_option"),
    (r#"crypto::jwt_sign(#{exp: 1}, "key", #{ttl: 1})"#, "invalid_option"),
    (r#"crypto::jwt_sign(#{}, "key", #{ttl: 0})"#, "invalid_option"),
    (r#"crypto::jwt_verify("a.b", "key")"#, "invalid_token"),
    (r#"crypto::jwt_verify("a.b.c.d", "key")"#, "invalid_token"),
    (r#"crypto::jwt_verify("", "key")"#, "invalid_token"),
    (r#"crypto::jwt_verify(crypto::jwt_sign(#{}, "key"), "other")"#, "invalid_signature"),
    (r#"crypto::jwt_verify(crypto::jwt_sign(#{}, "key"), "")"#, "invalid_key"),
    (r#"crypto::jwt_verify(crypto::jwt_sign(#{}, "key") + "=", "key")"#, "invalid_token"),
    (r#"crypto::jwt_verify(crypto::jwt_sign(#{exp: 1700000000}, "key"), "key")"#, "token_expired"),
    (
        r#"crypto::jwt_verify(crypto::jwt_sign(#{exp: 1699999995}, "key"), "key", #{leeway: 5})"#,
        "token_expired",
    ),
    (
        r#"crypto::jwt_verify(crypto::jwt_sign(#{nbf: 1700000001}, "key"), "key")"#,
        "token_not_yet_valid",
    ),
    (r#"crypto::jwt_verify(crypto::jwt_sign(#{exp: "soon"}, "key"), "key")"#, "invalid_token"),
    (
        r#"crypto::jwt_verify(crypto::jwt_sign(#{aud: "a"}, "key"), "key", #{audience: "b"})"#,
        "wrong_audience",
    ),
    (
        r#"crypto::jwt_verify(crypto::jwt_sign(#{}, "key"), "key", #{audience: "b"})"#,
        "wrong_audience",
    ),
    (
        r#"crypto::jwt_verify(crypto::jwt_sign(#{iss: ["i"]}, "key"), "key", #{issuer: "i"})"#,
        "wrong_issuer",
    ),
    (r#"crypto::jwt_verify("a.b.c", "key", #{leeway: -1})"#, "invalid_option"),
    (r#"crypto::jwt_verify("a.b.c", "key", #{algorithms: []})"#, "unknown_option"),
];

/// Each of these has a good signature of "key" with SHA-256.
#[test]
fn the_token_does_not_choose_its_algorithm() {
    const NONE: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ";
    for (token, message) in [
        (
            format!("{NONE}.bosbghxJBSKM66n_xSvTAk1cB1FxtJhlXx7HjNAJ4JA"),
            "not a token that is accepted: it is not signed with HS256",
        ),
        (format!("{NONE}."), "not a token that is accepted: it is not signed with HS256"),
        (
            "eyJhbGciOiJIUzI1NiIsImNyaXQiOlsieCJdfQ.eyJzdWIiOiJhbm4ifQ.bcy0BhdK93kYxSbHSCSwSGEU6-Fr6mNqAJVDqONrdYY"
                .to_owned(),
            "not a token that is accepted: its header demands what is not known here (`crit`)",
        ),
        (
            "eyJhbGciOiJIUzI1NiJ9.WyJzdWIiXQ.Y2y40NJFkyp3mHsBJiKRuVHF_dyIZtGIVM9EsdLKh5Y".to_owned(),
            "not a token that is accepted: the part with its claims is not a JSON object in base64url",
        ),
    ] {
        let script = format!("crypto::jwt_verify(\"{token}\", \"key\")");
        assert_eq!(thrown(&script).message, message);
    }
    for algorithm in ["HS384", "HS512"] {
        let sign = format!("crypto::jwt_sign(#{{}}, \"key\", #{{algorithm: \"{algorithm}\"}})");
        assert_eq!(code(&format!("crypto::jwt_verify({sign}, \"key\")")), "crypto invalid_token");
    }
}

#[test]
fn a_token_that_is_changed_anywhere_is_refused() {
    let script = r#"
        let token = crypto::jwt_sign(#{sub: "ann", admin: false}, "key");
        let accepted = [];
        for i in 0..token.len {
            let changed = token;
            changed[i] = if token[i] == 'A' { 'B' } else { 'A' };
            try { crypto::jwt_verify(changed, "key"); accepted.push(i); } catch {}
        }
        accepted
    "#;
    assert_eq!(get(script), "[]");
}

#[test]
fn a_token_is_in_force_until_the_second_that_it_names() {
    let verify = |claims: &str| {
        get(&format!("crypto::jwt_verify(crypto::jwt_sign(#{{{claims}}}, \"key\"), \"key\"); 1"))
    };
    assert_eq!(verify("exp: 1700000001, nbf: 1700000000"), "1");
    assert_eq!(verify("exp: 9223372036854775807, nbf: -9223372036854775807"), "1");
    assert_eq!(verify("exp: 1e300, nbf: -1e300"), "1");
}
