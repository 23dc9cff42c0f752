use super::*;
use std::collections::BTreeSet;

const ONE_TILE: (u32, u32) = (1, 1);

/// Scenes of one tile and of all large sizes.
fn scenes() -> impl Iterator<Item = Scene> {
    (0..400)
        .map(|seed| Scene::new(seed, ONE_TILE))
        .chain((0..280).map(|seed| Scene::new(seed, LARGE[seed as usize % 7])))
}

fn item(shape: Shape, label: char, radius: u32) -> Item {
    Item { shape, colour: Colour::Red, label, x: 60, y: 60, radius, fill: [214, 38, 38] }
}

fn on_grey() -> RgbImage {
    RgbImage::from_pixel(120, 120, image::Rgb([128; 3]))
}

#[test]
fn scenes_hold_as_many_items_as_trained_on() {
    let counts = |large: bool| -> BTreeSet<usize> {
        scenes().filter(|scene| (scene.tiles() != ONE_TILE) == large).map(|scene| scene.items().len()).collect()
    };
    assert!((5..=10).all(|count| counts(false).contains(&count)) && counts(false).last() == Some(&10));
    assert!((6..=16).all(|count| counts(true).contains(&count)) && counts(true).last() == Some(&16));
}

#[test]
fn items_keep_to_their_tile_and_near_patch_centres() {
    for scene in scenes() {
        for Item { x, y, radius, .. } in scene.items() {
            for (at, tiles) in [(x, scene.tiles().0), (y, scene.tiles().1)] {
                assert!(at / SIDE < tiles);
                assert!(at % SIDE >= *radius && at % SIDE + radius < SIDE, "{scene:?}");
                assert!((at % PATCH).abs_diff(PATCH / 2) <= 2, "{scene:?}");
            }
        }
    }
}

#[test]
fn items_lie_apart_and_none_is_like_another() {
    for scene in scenes() {
        for (n, one) in scene.items().iter().enumerate() {
            for other in &scene.items()[..n] {
                let apart = one.x.abs_diff(other.x).max(one.y.abs_diff(other.y));
                assert!(apart >= one.radius + other.radius + 2, "{scene:?}");
                assert_ne!(one.label, other.label);
                assert_ne!((one.colour, one.shape), (other.colour, other.shape));
            }
        }
    }
}

#[test]
fn items_stand_in_reading_order() {
    for scene in scenes() {
        assert!(scene.items().is_sorted_by_key(|item| (item.y / 112, item.x)));
    }
}

#[test]
fn everything_occurs_and_fills_stay_near_their_colour() {
    let items: Vec<Item> = scenes().flat_map(|scene| scene.items().to_vec()).collect();
    assert_eq!(items.iter().map(|item| item.shape).collect::<BTreeSet<_>>().len(), SHAPES.len());
    assert_eq!(items.iter().map(|item| item.label).collect::<BTreeSet<_>>().len(), LABELS.len());
    assert_eq!(items.iter().map(|item| item.radius).collect::<Vec<_>>().iter().max(), Some(&42));
    for colour in COLOURS {
        let reds: BTreeSet<u8> = items.iter().filter(|item| item.colour == colour).map(|item| item.fill[0]).collect();
        let (low, high) = (reds.first().copied().unwrap_or(0), reds.last().copied().unwrap_or(0));
        assert!((12..=24).contains(&(high - low)), "{colour}: {low} to {high}");
    }
    assert!(
        scenes().filter(|scene| scene.tiles() != ONE_TILE).all(|scene| scene.items().iter().all(|i| i.radius == 28))
    );
}

#[test]
fn a_seed_is_one_scene() {
    let scene = |seed| Scene::new(seed, ONE_TILE);
    assert_eq!(scene(3), scene(3));
    assert_eq!(scene(3).render(), scene(3).render());
    assert_eq!(examined(&scene(3)), examined(&scene(3)));
    assert_ne!(scene(3).items(), scene(4).items());
    let places: BTreeSet<_> = (0..100).map(|seed| (scene(seed).items()[0].x, scene(seed).items()[0].y)).collect();
    assert!(places.len() > 60, "seeds in a row are as different as others: {places:?}");
}

/// Figures that were measured on scenes hold for these draws and pixels, on every platform. Who changes them measures again.
#[test]
fn the_scenes_are_those_that_were_measured() {
    let scene = Scene::new(1, ONE_TILE);
    let asked = examined(&scene).into_iter().map(|q| format!("{} {}", q.text, q.answer));
    let expected = [
        "Read the label of the red diamond. 8",
        "Read the label of the green cross. 3",
        "What color is the object with label 4? purple",
        "Tell me the shape with label C. circle",
        "Can you see a purple circle? yes",
        "Count the stars. 0",
    ];
    assert_eq!(asked.collect::<Vec<_>>(), expected);
    let mut hash = blake3::Hasher::new();
    for seed in 0..8 {
        hash.update(&Scene::new(seed, ONE_TILE).render());
    }
    assert_eq!(hash.finalize().to_hex().as_str(), "71f6edcbbede17bef6774ad834b9d8b5cef088422c42a2a083802bdc14fe4e87");
}

#[test]
fn a_picture_is_its_tiles() {
    let picture = Scene::new(1, (3, 2)).render();
    assert_eq!(picture.dimensions(), (1344, 896));
    assert_eq!(Scene::new(1, (0, 0)).render().dimensions(), (448, 448));
}

#[test]
fn questions_are_those_of_an_examination() {
    for scene in scenes() {
        let kinds: Vec<Kind> = examined(&scene).iter().map(|question| question.kind).collect();
        let count = if scene.seed % 2 == 0 { Kind::CountColour } else { Kind::CountShape };
        assert_eq!(kinds, [Kind::Label, Kind::Label, Kind::Colour, Kind::Shape, Kind::Exist, count]);
    }
}

/// The one answer, from the words of the question and the items alone.
fn answer(kind: Kind, text: &str, items: &[Item]) -> Option<String> {
    let words: Vec<&str> = text.trim_end_matches(['?', '.']).split(' ').collect();
    let described = |item: &&Item| text.contains(&format!(" {} {}", item.colour, item.shape));
    let labelled = |item: &&Item| words.last() == Some(&item.label.to_string().as_str());
    let only = |found: Vec<&Item>| if let [item] = found[..] { Some(item.clone()) } else { None };
    let count = |counted: &dyn Fn(&Item) -> String| {
        items.iter().filter(|item| words.contains(&counted(item).as_str())).count().to_string()
    };
    match kind {
        Kind::Label => only(items.iter().filter(described).collect()).map(|item| item.label.to_string()),
        Kind::Colour => only(items.iter().filter(labelled).collect()).map(|item| item.colour.to_string()),
        Kind::Shape => only(items.iter().filter(labelled).collect()).map(|item| item.shape.to_string()),
        Kind::Exist => Some(if items.iter().any(|item| described(&item)) { "yes" } else { "no" }.to_owned()),
        Kind::CountShape => Some(count(&|item| item.shape.plural())),
        Kind::CountColour => Some(count(&|item| item.colour.to_string())),
    }
}

#[test]
fn answers_are_right() {
    for scene in scenes() {
        for question in examined(&scene) {
            let expected = answer(question.kind, &question.text, scene.items());
            assert_eq!(Some(question.answer), expected, "{} {scene:?}", question.text);
        }
    }
}

#[test]
fn words_are_those_that_were_trained_on() {
    let wording = |question: Question| {
        let (start, end) = question.text.split_at(question.text.rfind(' ').unwrap_or_default());
        let mut text = if end.len() == 3 { format!("{start} L{}", &end[2..]) } else { question.text.clone() };
        for shape in SHAPES {
            text = text.replace(&shape.plural(), "P").replace(&shape.to_string(), "S");
        }
        for colour in COLOURS {
            text = text.replace(&format!(" {colour} "), " C ").replace("an C", "a C");
        }
        text
    };
    let asked: BTreeSet<String> = scenes().flat_map(|scene| examined(&scene)).map(wording).collect();
    let trained = [
        "Can you see a C S?",
        "Count the C objects.",
        "Count the P.",
        "Does the image contain a C S?",
        "How many C shapes are there?",
        "How many P are there?",
        "Is there a C S?",
        "Read the label of the C S.",
        "Tell me the colour of the shape labelled L.",
        "Tell me the shape with label L.",
        "What color is the object with label L?",
        "What colour is the shape labelled L?",
        "What does the C S say?",
        "What is the label on the C S?",
        "What shape is labelled L?",
        "Which character is on the C S?",
        "Which shape carries the label L?",
    ];
    assert_eq!(asked.iter().map(String::as_str).collect::<Vec<_>>(), trained);
}

#[test]
fn orange_takes_its_own_article() {
    let texts: Vec<String> = scenes().flat_map(|scene| examined(&scene)).map(|question| question.text).collect();
    assert!(texts.iter().any(|text| text.contains(" an orange ")));
    assert!(!texts.iter().any(|text| text.contains(" a orange ")));
    assert!(texts.iter().all(|text| !text.contains(" an ") || text.contains(" an orange ")));
}

#[test]
fn half_of_what_is_asked_for_is_there_and_the_rest_is_nearly() {
    let asked: Vec<(Scene, Question)> = scenes()
        .flat_map(|scene| examined(&scene).into_iter().map(move |question| (scene.clone(), question)))
        .filter(|(_, question)| question.kind == Kind::Exist)
        .collect();
    let yes = asked.iter().filter(|(_, question)| question.answer == "yes").count();
    assert!((asked.len() * 2 / 5..=asked.len() * 3 / 5).contains(&yes), "{yes} of {}", asked.len());
    for (scene, question) in asked {
        let mut items = scene.items().iter();
        assert!(items.any(|item| question.text.contains(&format!(" {} ", item.colour))), "{}", question.text);
        let mut items = scene.items().iter();
        assert!(items.any(|item| question.text.contains(&item.shape.to_string())), "{}", question.text);
    }
}

#[test]
fn the_second_label_is_asked_in_other_words() {
    for scene in scenes() {
        let asked = examined(&scene);
        assert_ne!(asked[0].text, asked[1].text);
    }
}

/// What Pillow 13 draws of radius 10, corner by corner.
#[test]
fn shapes_are_pillows() {
    let draw = |shape| {
        let mut picture = on_grey();
        let item = item(shape, 'A', 10);
        draw::shape(&mut picture, &item);
        let canvas = &picture;
        let row = |y| {
            (50..=70).map(move |x| match canvas[(x, y)].0 {
                [128, 128, 128] => '.',
                [214, 38, 38] => 'o',
                _ => '#',
            })
        };
        (50..=70).map(|y| row(y).collect::<String>().trim_end_matches('.').to_owned()).collect::<Vec<_>>()
    };
    let square = draw(Shape::Square);
    assert_eq!(square[..4], ["", ".##################", ".##################", ".##oooooooooooooo##"]);
    assert_eq!(square[16..], [".##oooooooooooooo##", ".##################", ".##################", "", ""]);
    let triangle = draw(Shape::Triangle);
    assert_eq!(triangle[..5], ["..........#", ".........###", ".........###", "........##o##", "........##o##"]);
    assert_eq!(triangle[16..], [".##ooooooooooooooo##", ".###################", "#####################", "", ""]);
    let diamond = draw(Shape::Diamond);
    assert_eq!(diamond[..5], ["..........#", ".........###", "........#####", ".......###o###", "......###ooo###"]);
    assert_eq!(diamond[10], "###ooooooooooooooo###");
    let cross = draw(Shape::Cross);
    assert_eq!(cross[4..7], [".....##oooooo##", "#######oooooo########", "#######oooooo########"]);
    let circle = draw(Shape::Circle);
    assert_eq!(circle[..3], [".......#######", ".....###########", "....####ooooo####"]);
    assert_eq!(circle[8..10], ["##ooooooooooooooooo##"; 2]);
    let star = draw(Shape::Star);
    assert_eq!(star[16..], ["....#####...####", "....###......###", "....#..........#", "", ""]);
}

#[test]
fn labels_are_sharp_and_stroked() {
    let mut picture = on_grey();
    label::write(&mut picture, &item(Shape::Circle, 'H', 28));
    let column: Vec<u8> = (48..72).map(|y| picture[(55, y)].0[0]).collect();
    let expected = [[128].as_slice(), &[10; 2], &[250; 18], &[10; 2], &[128]].concat();
    assert_eq!(column, expected, "a capital of 25 pixels is 18 high, its foot 9 below the middle");
}

#[test]
fn a_label_stands_lower_in_a_triangle() {
    let top = |shape| {
        let mut picture = on_grey();
        label::write(&mut picture, &item(shape, 'H', 42));
        picture.enumerate_pixels().find(|(.., pixel)| pixel.0 == [250; 3]).map(|(_, y, _)| y)
    };
    assert_eq!(top(Shape::Square), Some(46));
    assert_eq!(top(Shape::Triangle), Some(50));
}

#[test]
fn labels_differ_and_are_whole() {
    for radius in [28, 35, 42] {
        let mut seen = BTreeSet::new();
        for label in LABELS.chars() {
            let mut picture = on_grey();
            let item = item(Shape::Triangle, label, radius);
            label::write(&mut picture, &item);
            let reach = radius / 2 + 2;
            let at_the_rim = draw::pixels(&item, reach)
                .filter(|&(x, y)| x.abs_diff(item.x).max(y.abs_diff(item.y)) == reach)
                .all(|(x, y)| picture[(x, y)].0 == [128; 3]);
            assert!(at_the_rim, "{label} of radius {radius} is cut off");
            assert!(seen.insert(picture.into_raw()), "{label} of radius {radius} looks like another");
        }
    }
}
