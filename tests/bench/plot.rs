//! The ratios as bars from 1 to the left (slower) or to the right (faster), on a logarithmic scale.

use crate::report::Ratio;
use svg::Document;
use svg::node::element::{Line, Rectangle, Text};

const ROW: f64 = 22.0;
const TOP: f64 = 40.0;
const LABELS: f64 = 520.0;
const WIDTH: f64 = 520.0;
/// What the scale shows: a hundredth to a thousand times.
const SCALE: (f64, f64) = (0.01, 1000.0);

/// The plot of some ratios.
pub fn ratios(ratios: &[Ratio]) -> String {
    let height = TOP + ROW * ratios.len() as f64 + 20.0;
    let mut plot = Document::new()
        .set("viewBox", (0.0, 0.0, LABELS + WIDTH + 90.0, height))
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white"))
        .add(
            Text::new("Postrider beside others: ratio of rates (medians), whiskers: single rounds, red: target")
                .set("x", 8)
                .set("y", 16),
        );
    let mut decade = SCALE.0;
    while decade <= SCALE.1 {
        let at = x(decade);
        let colour = if (decade - 1.0).abs() < 1e-9 { "black" } else { "#ccc" };
        plot = plot.add(line((at, TOP - 6.0), (at, height - 20.0), colour)).add(
            Text::new(if decade < 1.0 { format!("{decade:.2}") } else { format!("{decade:.0}") })
                .set("x", at)
                .set("y", TOP - 10.0)
                .set("text-anchor", "middle"),
        );
        decade *= 10.0;
    }
    for (row, one) in ratios.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let (from, to) = (x(one.times.min(1.0)), x(one.times.max(1.0)));
        let reached = one.target.is_none_or(|target| one.times >= target);
        plot = plot
            .add(
                Text::new(format!("{} / {}", one.what, one.peer))
                    .set("x", LABELS - 8.0)
                    .set("y", y + 14.0)
                    .set("text-anchor", "end"),
            )
            .add(
                Rectangle::new()
                    .set("x", from)
                    .set("y", y + 4.0)
                    .set("width", (to - from).max(1.0))
                    .set("height", ROW - 9.0)
                    .set("fill", if reached { "#4a90d9" } else { "#d98a4a" }),
            )
            .add(line((x(one.spread.0), y + 10.5), (x(one.spread.1), y + 10.5), "#222"))
            .add(Text::new(format!("{:.2}", one.times)).set("x", LABELS + WIDTH + 12.0).set("y", y + 14.0));
        if let Some(target) = one.target {
            plot = plot.add(line((x(target), y + 2.0), (x(target), y + ROW - 3.0), "#c00").set("stroke-width", 2));
        }
    }
    plot.to_string()
}

fn x(ratio: f64) -> f64 {
    let part = (ratio.clamp(SCALE.0, SCALE.1) / SCALE.0).log10() / (SCALE.1 / SCALE.0).log10();
    LABELS + part * WIDTH
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str) -> Line {
    Line::new().set("x1", from.0).set("y1", from.1).set("x2", to.0).set("y2", to.1).set("stroke", colour)
}
