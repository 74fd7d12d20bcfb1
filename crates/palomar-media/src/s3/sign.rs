//! AWS Signature Version 4, in the header: what S3 and all that speak its protocol ask for. Pure.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_model::{Secret, Timestamp};
use sha2::{Digest as _, Sha256};

/// Who signs, and for where.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    pub(super) region: String,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'r> {
    pub(super) method: &'r str,
    /// The path as it goes out, percent-encoded.
    pub(super) path: &'r str,
    /// The query as it goes out: sorted, percent-encoded.
    pub(super) query: &'r str,
    /// The headers that are signed, sorted, in lower case: `host`, `x-amz-content-sha256` and `x-amz-date` among them.
    pub(super) headers: &'r [(&'r str, &'r str)],
    /// The SHA-256 of the body, in hexadecimal.
    pub(super) body: &'r str,
}

/// A time as `x-amz-date` has it.
pub(super) fn amz_date(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

impl Signer {
    /// The header `authorization` for a request with the header `x-amz-date: {date}`.
    pub(super) fn authorization(&self, request: Signed<'_>, date: &str) -> String {
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        for (name, value) in request.headers {
            // Writing to a text can't fail.
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", request.body);
        let digest = HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
        let signature = self.signature(day, &format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        )
    }

    fn signature(&self, day: &str, text: &str) -> String {
        let first = format!("AWS4{}", self.secret_key.expose());
        let parts = [day, &self.region, "s3", "aws4_request", text];
        let key = parts.into_iter().fold(first.into_bytes(), |key, part| mac(&key, part.as_bytes()));
        HEXLOWER.encode(&key)
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", "20130524T000000Z");

    /// The examples of Amazon's own documentation of the signature.
    #[test]
    fn the_published_examples() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".to_owned(),
        };
        let put = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
        let none = ("x-amz-content-sha256", EMPTY);
        for (method, path, query, headers, body, signature) in [
            (
                "GET",
                "/test.txt",
                "",
                vec![HOST, ("range", "bytes=0-9"), none, DATE],
                EMPTY,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                "",
                vec![
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    HOST,
                    ("x-amz-content-sha256", put),
                    DATE,
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
                put,
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                "lifecycle=",
                vec![HOST, none, DATE],
                EMPTY,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                "max-keys=2&prefix=J",
                vec![HOST, none, DATE],
                EMPTY,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let request = Signed { method, path, query, headers: &headers, body };
            let told = signer.authorization(request, DATE.1);
            let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders={},\
                 Signature={signature}",
                names.join(";")
            );
            assert_eq!(told, expected, "{method} {path}?{query}");
        }
    }

    #[test]
    fn times_as_the_protocol_has_them() {
        assert_eq!(amz_date(Timestamp::from_seconds(1_369_353_600)), DATE.1);
    }
}
