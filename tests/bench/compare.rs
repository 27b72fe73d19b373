//! Several sides do the same work, in turns, and are counted.
//!
//! A machine is never quiet, so figures are compared only within one round-robin: each round all sides run
//! once, for at least [`Effort::least`], and what counts is the median of the rounds.

use std::time::Duration;

/// How much is done for one figure.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds in which the sides take turns.
    pub rounds: usize,
    /// The shortest time that a side must run in a round for its figure to count.
    pub least: Duration,
    /// Leave out what takes minutes.
    pub quick: bool,
}

impl Effort {
    /// What a published figure needs.
    pub const FULL: Effort = Effort { rounds: 5, least: Duration::from_secs(5), quick: false };
    /// A look while one works on something; the report says so.
    pub const QUICK: Effort = Effort { rounds: 3, least: Duration::from_secs(1), quick: true };
}

/// Does so many units of work; returns how long it took until the receiver had counted all of them.
pub type Work<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// One that does the work.
pub struct Side<'a> {
    name: String,
    work: Work<'a>,
    /// Its own multiple of units, where that of the others would take it minutes.
    step: Option<usize>,
}

impl<'a> Side<'a> {
    /// `work` is called with a number of units.
    pub fn new(name: impl Into<String>, work: impl FnMut(usize) -> Duration + 'a) -> Self {
        Side { name: name.into(), work: Box::new(work), step: None }
    }

    /// The same under another name.
    pub fn named(self, name: impl Into<String>) -> Self {
        Side { name: name.into(), ..self }
    }

    /// Does its work in other multiples of units than the others do.
    pub fn in_steps_of(self, step: usize) -> Self {
        Side { step: Some(step), ..self }
    }
}

/// What one side reached.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Which side.
    pub name: String,
    /// Units a second, one for each round.
    pub rates: Vec<f64>,
    /// The shortest run.
    pub shortest: Duration,
}

impl Figures {
    /// The middle one.
    pub fn median(&self) -> f64 {
        median(self.rates.clone())
    }

    /// Smallest and largest.
    pub fn spread(&self) -> (f64, f64) {
        self.rates.iter().fold((f64::INFINITY, 0.0), |(low, high), rate| (low.min(*rate), high.max(*rate)))
    }
}

/// Lets the sides take turns. Work is done in multiples of `step` units, of which there are enough for a run
/// to last as long as it must.
pub fn compare(effort: Effort, step: usize, mut sides: Vec<Side<'_>>) -> Vec<Figures> {
    let mut counts: Vec<usize> =
        sides.iter_mut().map(|side| calibrate(effort, side.step.unwrap_or(step), side)).collect();
    let mut figures: Vec<Figures> = sides
        .iter()
        .map(|side| Figures { name: side.name.clone(), rates: Vec::new(), shortest: Duration::MAX })
        .collect();
    for _ in 0..effort.rounds {
        for ((side, count), figures) in sides.iter_mut().zip(&mut counts).zip(&mut figures) {
            let mut time = (side.work)(*count);
            // The machine was slower when it was calibrated.
            for _ in 0..3 {
                if time >= effort.least {
                    break;
                }
                *count = enough(*count, time, effort.least, side.step.unwrap_or(step));
                time = (side.work)(*count);
            }
            figures.rates.push(*count as f64 / time.as_secs_f64());
            figures.shortest = figures.shortest.min(time);
        }
    }
    figures
}

/// How many units take long enough; the first runs also warm everything up.
fn calibrate(effort: Effort, step: usize, side: &mut Side<'_>) -> usize {
    let mut count = step;
    loop {
        let time = (side.work)(count);
        if time * 5 >= effort.least {
            return enough(count, time, effort.least, step);
        }
        count = (count * 4).min(enough(count, time, effort.least, step)).max(count + step);
    }
}

fn enough(count: usize, time: Duration, least: Duration, step: usize) -> usize {
    let rate = count as f64 / time.as_secs_f64().max(1e-6);
    let wanted = rate * least.as_secs_f64() * 1.15;
    ((wanted / step as f64).ceil() as usize).max(1) * step
}

/// The middle one of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
