//! Bars on standard error, where a person is looking.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::Context;

/// A bar over `length` things; none over a single one.
pub(super) fn counting(context: &Context, length: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit} {{wide_msg}}");
    bar(context.draws_progress() && length > 1, length, &template)
}

/// A bar over bytes, whose length is told later.
pub(super) fn bytes(context: &Context) -> ProgressBar {
    bar(context.draws_progress(), 0, "{bar:30} {bytes}/{total_bytes} {eta}")
}

fn bar(drawn: bool, length: u64, template: &str) -> ProgressBar {
    if !drawn {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
