//! The line of source that an error is about, for people to look at.

use crate::Position;

/// Characters of a line that are shown; longer lines are cut around the column.
const WIDTH: usize = 100;

/// The source's line at `position` with a caret under the column:
///
/// ```text
///   |
/// 3 | let x = ;
///   |         ^
/// ```
///
/// `None` if the source has no such line. Control characters come out as
/// spaces, so that a script cannot steer a terminal.
#[must_use]
pub fn excerpt(source: &str, position: &Position) -> Option<String> {
    let index = usize::try_from(position.line).ok()?.checked_sub(1)?;
    let line = source.lines().nth(index)?;
    let column = usize::try_from(position.column).ok()?.saturating_sub(1);
    // An error at the end of a file points behind the line's last character.
    let column = column.min(line.chars().count());
    let start = if column < WIDTH { 0 } else { column - WIDTH / 2 };
    let shown: String = line
        .chars()
        .skip(start)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = position.line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(column - start);
    Some(format!("{gutter} |\n{number} | {}\n{gutter} | {indent}^", shown.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, line: u32, column: u32, expected: Option<&str>) {
        let position = Position { file: "a.rhai".to_owned(), line, column };
        assert_eq!(excerpt(source, &position).as_deref(), expected, "{source:?} {line}:{column}");
    }

    #[test]
    fn the_caret_stands_under_the_column() {
        check("one\nlet x = ;\n", 2, 9, Some("  |\n2 | let x = ;\n  |         ^"));
        check("äö ü", 1, 4, Some("  |\n1 | äö ü\n  |    ^"));
        check("a\tb", 1, 3, Some("  |\n1 | a b\n  |   ^"));
        check("end", 1, 99, Some("  |\n1 | end\n  |    ^"));
        check(&format!("{}x", "\n".repeat(9)), 10, 1, Some("   |\n10 | x\n   | ^"));
    }

    #[test]
    fn a_place_outside_the_source_has_no_excerpt() {
        check("", 1, 1, None);
        check("a", 2, 1, None);
        check("a", 0, 1, None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_column() {
        let source = format!("{}!{}", "a".repeat(5_000), "b".repeat(5_000));
        let position = Position { file: String::new(), line: 1, column: 5_001 };
        let text = excerpt(&source, &position).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[2].find('^').unwrap();
        assert_eq!(lines[1].as_bytes()[caret], b'!');
        assert!(lines[1].len() < 120);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        check("a\u{1b}[2Jb", 1, 1, Some("  |\n1 | a [2Jb\n  | ^"));
    }
}
