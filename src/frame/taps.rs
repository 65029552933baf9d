//! Which samples of a line make up each position of a resampled one, and with which weights.
//!
//! In: where the output's positions lie on a line of source samples. Out: for each position a run of
//! samples with whole weights that add up to 256, less where a part of it lies outside the line.
//! Shrinking weighs by the area that is covered, enlarging interpolates linearly.

/// For each output position: which source samples it covers, and their weights.
#[derive(Debug, Default)]
pub(super) struct Taps {
    pub(super) runs: Vec<Run>,
    /// As many for each run as the longest one may have; zeros behind those that it has.
    pub(super) weights: Vec<f32>,
    pub(super) longest: usize,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) source: usize,
    count: usize,
    pub(super) missing: f32,
}

/// What one output position is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap<'a> {
    /// The first source sample.
    pub(super) source: usize,
    /// Weights of it and those behind it, whole numbers.
    pub(super) weights: &'a [f32],
    /// What the weights lack of [`ONE`], because part of the position lies outside the frame.
    pub(super) missing: f32,
}

/// Weights of one position add up to this, unless part of it lies outside the frame.
pub(super) const ONE: f32 = 256.0;

impl Taps {
    /// Fills the runs for `outputs` positions that cover `[start, start + extent)` of a line of
    /// `available` source samples.
    pub(super) fn fill(&mut self, start: f32, extent: f32, outputs: usize, available: usize) {
        self.runs.clear();
        self.weights.clear();
        let step = extent / outputs as f32;
        let most = if step >= 1.0 { (step.ceil() as usize).saturating_add(1) } else { 2 };
        self.longest = most.min(available).max(1);
        for output in 0..outputs {
            let low = step * output as f32 + start;
            let first = self.weights.len();
            let source = if step >= 1.0 {
                self.push_box(low, low + step, available)
            } else {
                self.push_linear(low + step / 2.0, available)
            };
            self.weights.truncate(first + self.longest);
            let weights = self.weights.get(first..).unwrap_or_default();
            let missing = ONE - weights.iter().sum::<f32>();
            self.runs.push(Run { source, count: weights.len(), missing });
            self.weights.resize(first + self.longest, 0.0);
        }
    }

    /// Adds the weights of one position and says where its samples start.
    fn push_box(&mut self, low: f32, high: f32, available: usize) -> usize {
        let first = low.max(0.0);
        let last = high.min(available as f32);
        if last <= first {
            return 0;
        }
        let source = first as usize;
        let end = (last.ceil() as usize).min(available);
        // Cumulative rounding: the weights add up to 256 exactly where the run lies inside.
        let scale = ONE / (high - low);
        let mut spent = rounded((first - low) * scale);
        for position in source..end {
            let covered = ((position + 1) as f32).min(last);
            let total = rounded((covered - low) * scale);
            self.weights.push((total - spent).max(0.0));
            spent = total;
        }
        source
    }

    /// Adds the weights of one position and says where its samples start.
    fn push_linear(&mut self, centre: f32, available: usize) -> usize {
        if centre <= 0.0 || centre >= available as f32 {
            return 0;
        }
        let position = (centre - 0.5).clamp(0.0, (available - 1) as f32);
        let source = position as usize;
        let fraction = rounded((position - source as f32) * ONE);
        self.weights.push(ONE - fraction);
        if source + 1 < available {
            self.weights.push(fraction);
        }
        source
    }

    /// What the positions from `first` on are made of.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = Tap<'_>> {
        let runs = self.runs.get(first..).unwrap_or_default();
        let weights = self.weights.get(first * self.longest..).unwrap_or_default();
        let weights = weights.chunks_exact(self.longest.max(1));
        runs.iter().zip(weights).map(|(run, weights)| Tap {
            source: run.source,
            weights: weights.get(..run.count).unwrap_or_default(),
            missing: run.missing,
        })
    }

    /// The source samples that any position covers, as `[first, end)`.
    pub(super) fn span(&self) -> (usize, usize) {
        let covered = || self.from(0).filter(|tap| !tap.weights.is_empty());
        let first = covered().map(|tap| tap.source).min().unwrap_or(0);
        let end = covered().map(|tap| tap.source + tap.weights.len()).max().unwrap_or(0);
        (first, end)
    }
}

/// To the nearest whole number, 0 to 65535.
fn rounded(value: f32) -> f32 {
    f32::from((value + 0.5) as u16)
}
