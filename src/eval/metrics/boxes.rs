//! Boxes in replies: reading them, intersection over union, precision.

use super::right;
use crate::geometry::Rect;

/// What the numbers of a box count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BoxUnits {
    /// Shares of the picture's width and height.
    Share,
    /// Thousandths of them: InternVL, Qwen2-VL, Qwen3-VL, GLM-4V.
    Thousandths,
    /// Pixels of the picture as the model read it, which may be a resized one: Qwen2.5-VL.
    Pixels {
        /// Width of that picture in pixels.
        width: f64,
        /// Height of that picture in pixels.
        height: f64,
    },
}

/// The first box of a reply in shares of the picture: four numbers `x0, y0, x1, y1` in brackets. `None` without one.
///
/// Model families write `<box>[[100,200,300,400]]</box>` (InternVL), `<|box_start|>(100,200),(300,400)<|box_end|>`
/// (Qwen2-VL), `{"bbox_2d": [100, 200, 300, 400]}` (Qwen2.5-VL) or plain brackets. Formats that name y first
/// (PaliGemma's `<loc0200>`, Gemma's `box_2d`) are not told apart: the former is no box here, the latter a wrong one.
/// Corners stay as written, so a box may be reversed (it has no area) or reach beyond the picture.
pub fn read(reply: &str, units: BoxUnits) -> Option<Rect> {
    let [x0, y0, x1, y1] = reply.match_indices(['[', '(']).find_map(|(start, _)| four_numbers(reply.get(start..)?))?;
    let (width, height) = match units {
        BoxUnits::Share => (1.0, 1.0),
        BoxUnits::Thousandths => (1000.0, 1000.0),
        BoxUnits::Pixels { width, height } => (width, height),
    };
    let rect = Rect { x0: x0 / width, y0: y0 / height, x1: x1 / width, y1: y1 / height };
    [rect.x0, rect.y0, rect.x1, rect.y1].iter().all(|edge| edge.is_finite()).then_some(rect)
}

/// Intersection over union: 0 for boxes that share no area, 1 for the same one.
pub fn iou(a: Rect, b: Rect) -> f64 {
    let common = a.intersection(&b).area();
    if common > 0.0 { (common / (a.area() + b.area() - common)).min(1.0) } else { 0.0 }
}

/// Precision at one half: 1 if the first box of the reply meets the gold one with an [`iou`] of at least 0.5, else 0.
pub fn score(reply: &str, units: BoxUnits, gold: Rect) -> f64 {
    right(read(reply, units).is_some_and(|found| iou(found, gold) >= LEAST_IOU))
}

const LEAST_IOU: f64 = 0.5;

/// The numbers that a text begins with, parted and enclosed by brackets, commas and spaces only.
fn four_numbers(text: &str) -> Option<[f64; 4]> {
    let mut numbers = [0.0; 4];
    let mut rest = text;
    for number in &mut numbers {
        rest = rest.trim_start_matches(|between: char| between.is_whitespace() || "[](),".contains(between));
        let end = rest.find(|part: char| !(part.is_ascii_digit() || ".-+eE".contains(part))).unwrap_or(rest.len());
        let (written, after) = rest.split_at_checked(end)?;
        *number = written.parse().ok()?;
        rest = after;
    }
    rest.trim_start().starts_with([']', ')']).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rect(x0: f64, y0: f64, x1: f64, y1: f64) -> Rect {
        Rect { x0, y0, x1, y1 }
    }

    #[test]
    fn formats_of_model_families() {
        let expected = Some(rect(0.1, 0.2, 0.3, 0.4));
        let pixels = BoxUnits::Pixels { width: 640.0, height: 480.0 };
        for (reply, units) in [
            ("<ref>the cat</ref><box>[[100,200,300,400]]</box>", BoxUnits::Thousandths),
            ("<box>[[100, 200, 300, 400], [5, 6, 7, 8]]</box>", BoxUnits::Thousandths),
            (
                "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
                BoxUnits::Thousandths,
            ),
            ("(100,200),(300,400)", BoxUnits::Thousandths),
            ("<|begin_of_box|>[[100,200,300,400]]<|end_of_box|>", BoxUnits::Thousandths),
            ("```json\n[\n\t{\"bbox_2d\": [64, 96, 192, 192], \"label\": \"cat 2\"}\n]\n```", pixels),
            ("{\"point_2d\": [1, 2], \"bbox_2d\": [64.0, 96.0, 192.0, 192.0]}", pixels),
            ("The 3 cats (two of them black) are at [0.1, 0.2, 0.3, 0.4].", BoxUnits::Share),
            ("[.1,.2,3e-1,+0.4]", BoxUnits::Share),
            ("[ 0.1 0.2 0.3 0.4 ]", BoxUnits::Share),
            ("[1, 2] or [[0.1, 0.2], [0.3, 0.4]]", BoxUnits::Share),
        ] {
            assert_eq!(read(reply, units), expected, "{reply:?}");
        }
    }

    #[test]
    fn what_is_no_box() {
        for reply in [
            "",
            "not sure",
            "0.1, 0.2, 0.3, 0.4",
            "[0.1, 0.2, 0.3]",
            "[0.1, 0.2, 0.3, 0.4, 0.5]",
            "<box>[[100,200,300,400",
            "[x0, y0, x1, y1]",
            "[1e999, 0, 1, 1]",
            "[--1, 0, 1, 1]",
            "[nan, 0, 1, 1]",
            "<loc0200><loc0100><loc0400><loc0300>",
            "［１，２，３，４］",
        ] {
            assert_eq!(read(reply, BoxUnits::Share), None, "{reply:?}");
        }
        assert_eq!(read("[1, 2, 3, 4]", BoxUnits::Pixels { width: 0.0, height: 9.0 }), None);
    }

    #[test]
    fn intersection_over_union() {
        let square = rect(0.0, 0.0, 0.5, 0.5);
        for (other, expected) in [
            (square, 1.0),
            (rect(0.25, 0.0, 0.75, 0.5), 0.125 / (0.25 + 0.25 - 0.125)), // 1/3
            (rect(0.0, 0.0, 1.0, 0.5), 0.25 / 0.5),
            (rect(0.5, 0.0, 1.0, 0.5), 0.0),     // only an edge
            (rect(0.5, 0.5, 0.0, 0.0), 0.0),     // reversed
            (rect(0.25, 0.25, 0.25, 0.25), 0.0), // empty
            (rect(-0.5, 0.0, 0.5, 0.5), 0.5),    // beyond the picture
        ] {
            assert!((iou(square, other) - expected).abs() < 1e-12, "{other:?}");
        }
    }

    #[test]
    fn precision_at_one_half() {
        let gold = rect(0.0, 0.0, 0.5, 0.5);
        assert_eq!(score("[0, 0, 1, 0.5]", BoxUnits::Share, gold), 1.0); // exactly one half
        assert_eq!(score("[0, 0, 1, 0.51]", BoxUnits::Share, gold), 0.0);
        assert_eq!(score("[0, 0, 500, 500]", BoxUnits::Thousandths, gold), 1.0);
        assert_eq!(score("[0, 0, 500, 500]", BoxUnits::Share, gold), 0.0);
        assert_eq!(score("here", BoxUnits::Share, gold), 0.0);
    }

    fn edges() -> impl Strategy<Value = Rect> {
        prop::array::uniform4((-8i8..16).prop_map(|eighths| f64::from(eighths) / 8.0))
            .prop_map(|[x0, y0, x1, y1]| rect(x0, y0, x1, y1))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn iou_is_a_symmetric_share(a in edges(), b in edges()) {
            prop_assert!((0.0..=1.0).contains(&iou(a, b)));
            prop_assert_eq!(iou(a, b), iou(b, a));
            prop_assert_eq!(iou(a, a), if a.area() > 0.0 { 1.0 } else { 0.0 });
        }

        #[test]
        fn any_reply_can_be_read(reply in any::<String>(), brackets in r"[\[\](),.0-9e -]{0,40}") {
            read(&reply, BoxUnits::Share);
            read(&brackets, BoxUnits::Thousandths);
        }

        #[test]
        fn what_is_written_is_read([x0, y0, x1, y1] in prop::array::uniform4(-1e3..1e3f64)) {
            let reply = format!("<box>[[{x0},{y0},{x1},{y1}]]</box>");
            prop_assert_eq!(read(&reply, BoxUnits::Share), Some(rect(x0, y0, x1, y1)));
        }
    }
}
