//! Names: every one that is allowed is a name of its own.

use super::content::Content;
use super::fixtures::{commit, delete, image, name, publish};
use super::{Store, case_list};
use crate::PipelineName;

case_list![every_allowed_name_is_a_name_of_its_own];

/// Names that look alike, or that file systems, databases and shells take for something else.
pub(super) fn odd_names() -> Vec<PipelineName> {
    let mut texts: Vec<String> = [
        // Case, which some file systems fold, and Unicode letters that fold or normalize to others.
        "scoring",
        "Scoring",
        "SCORING",
        "stra\u{df}e",
        "STRASSE",
        "\u{130}",
        "\u{131}",
        "i",
        "I",
        "\u{3a3}",
        "\u{3c3}",
        "\u{3c2}",
        "\u{fb01}",
        "fi",
        "\u{ff21}",
        "A",
        "caf\u{e9}",
        "cafe",
        // Reserved on some systems, alone or with an extension.
        "CON",
        "con",
        "nul",
        "NUL.json",
        "aux",
        "COM1",
        "LPT9.txt",
        "desktop.ini",
        ".git",
        ".DS_Store",
        // Dots and spaces, which some systems strip.
        "...",
        "a.",
        "a",
        "a ",
        " a",
        " ",
        "a  b",
        "a b",
        ".a",
        "..a",
        "a..",
        "a.json",
        "a.tmp",
        "~a",
        "a~",
        "~",
        // Separators and wildcards of other systems.
        "a/b",
        "a\\b",
        "a:b",
        "a|b",
        "a*b",
        "a?b",
        "a<b",
        "a>b",
        "a\"b",
        "a'b",
        "a%b",
        "a%2Fb",
        "a%2fb",
        "%",
        "%25",
        "a/b/c",
        "a/b.json",
        "a_b",
        "a-b",
        "-a",
        "--",
        "$a",
        "`a`",
        "a;b",
        "a&b",
        "a\\",
        "\\",
        ":",
        "a::b",
        "{a}",
        "[a]",
        "a=b",
        "a+b",
        "@a",
        "#a",
        "!a",
        "a,b",
        "^a",
        "\\..\\a",
        ".../a",
        "a/.../b",
        // Close to a hash, but none.
        "blake3:x",
        "sha256:abc",
        "__proto__",
        "null",
        "true",
        "0",
        "1e3",
        // Beyond ASCII.
        "\u{1f600}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{202e}abc",
        "\u{200b}",
        "\u{feff}a",
        "\u{2028}",
        "\u{a0}",
        "\u{e000}",
        "\u{10ffff}",
        "\u{ffff}",
        "\u{4e2d}\u{6587}",
        "\u{5e9}\u{5dc}",
    ]
    .map(str::to_owned)
    .to_vec();
    // Long ones that agree for long, and whose escapes are longer still.
    texts.extend(["x".repeat(255), format!("{}y", "x".repeat(254)), format!("{}X", "x".repeat(254))]);
    texts.extend(["X".repeat(255), "/a".repeat(127)[1..].to_owned(), "%".repeat(255), "\u{4e2d}".repeat(85)]);
    texts.extend([
        format!("{}a", "\u{4e2d}".repeat(84)),
        format!("{}b", "\u{4e2d}".repeat(84)),
        "x".repeat(63),
    ]);
    texts.push("a".repeat(65));
    let mut names: Vec<_> = texts.iter().map(|text| name(text)).collect();
    names.sort();
    names.dedup();
    names
}

/// Publishes a different image under each name, and deletes every fifth name.
pub(super) async fn publish_odd_names(store: &Store) {
    for (number, name) in odd_names().iter().enumerate() {
        publish(store, name, &image(i64::try_from(number).unwrap())).await;
    }
    for name in odd_names().iter().step_by(5) {
        commit(store, [delete(name)]).await;
    }
}

/// Checks what [`publish_odd_names`] leaves.
pub(super) async fn check_odd_names(store: &Store) {
    let content = Content::of(&**store).await;
    let names = odd_names();
    let listed: Vec<_> = content.histories.iter().map(|history| &history.pipeline_name).collect();
    assert_eq!(listed, names.iter().collect::<Vec<_>>());
    for (number, (name, history)) in names.iter().zip(&content.histories).enumerate() {
        let image = image(i64::try_from(number).unwrap());
        assert_eq!(history.versions.len(), 1, "{name:?}");
        assert_eq!(history.versions[0].structural_hash, image.structural_hash, "{name:?}");
        assert_eq!(history.active_version, (number % 5 != 0).then_some(1), "{name:?}");
    }
}

async fn every_allowed_name_is_a_name_of_its_own(store: Store) {
    publish_odd_names(&store).await;
    check_odd_names(&store).await;
}
