//! What the program answered, for tests that run it from outside.
//!
//! In: the output of a finished process. Out: exit code, both texts, and the JSON in them; a panic
//! that shows everything where there is none.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::process::Output;

use serde_json::Value as Json;

pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// The program must have ended by itself and have written UTF-8.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    /// The `error` object on the last line of standard error, which must name the exit code.
    pub fn error(&self) -> Json {
        let text = self.err.lines().last().expect("an error");
        let value: Json =
            serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {}", self.err));
        assert_eq!(value["error"]["exit_code"], self.code, "{value}");
        value["error"].clone()
    }
}
