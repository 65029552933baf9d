//! Certificates for one test, made by the `openssl` program in the test's own directory.
//!
//! An [`Authority`] lives in a folder of the test and issues certificates for names and dates of
//! the test's choice, by the program `openssl`. Nothing of it outlives the test.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority and where its things lie.
pub struct Authority {
    directory: PathBuf,
}

/// A certificate and its key.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

fn openssl(directory: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(directory).output().unwrap();
    assert!(
        done.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Runs `script` in `directory`, which makes files by `openssl` and the like.
pub fn shell(directory: &Path, script: &str) {
    let done = Command::new("sh").args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Authority {
    /// Makes one in `directory`/`name`.
    pub fn make(directory: &Path, name: &str) -> Self {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).unwrap();
        let subject = format!("/CN={name}");
        openssl(
            &directory,
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
                "-days",
                "30",
                "-subj",
                &subject,
            ],
        );
        // `openssl ca` is what can set the dates of an expired certificate.
        std::fs::write(directory.join("index.txt"), "").unwrap();
        std::fs::write(
            directory.join("ca.conf"),
            "[ca]\ndefault_ca = ours\n[ours]\ndatabase = index.txt\nnew_certs_dir = .\n\
             rand_serial = yes\ncertificate = ca.pem\nprivate_key = ca.key\ndefault_md = sha256\n\
             policy = any\ncopy_extensions = copy\nunique_subject = no\n[any]\n\
             commonName = supplied\n",
        )
        .unwrap();
        Self { directory }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Issues a certificate for `names` (as in `DNS:localhost,IP:127.0.0.1`), valid between two
    /// dates as `openssl ca` writes them.
    pub fn issue(&self, name: &str, names: &str, from: &str, until: &str) -> Certificate {
        let [key, request, certificate] =
            ["key", "csr", "pem"].map(|kind| format!("{name}.{kind}"));
        let (subject, extension) = (format!("/CN={name}"), format!("subjectAltName={names}"));
        openssl(
            &self.directory,
            &[
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-out",
                &request,
                "-subj",
                &subject,
                "-addext",
                &extension,
            ],
        );
        openssl(
            &self.directory,
            &[
                "ca",
                "-batch",
                "-config",
                "ca.conf",
                "-notext",
                "-startdate",
                from,
                "-enddate",
                until,
                "-in",
                &request,
                "-out",
                &certificate,
            ],
        );
        Certificate { certificate: self.directory.join(certificate), key: self.directory.join(key) }
    }

    /// Issues one that is valid now and for a long time.
    pub fn issue_valid(&self, name: &str, names: &str) -> Certificate {
        self.issue(name, names, "20200101000000Z", "20491231235959Z")
    }
}
