//! The width of lines: 100 columns for code, 160 for prose. Paragraphs of pages are filled up to that
//! width; code spans are not broken.

use std::path::PathBuf;

use super::source::{files, literal_len, read, root};

const CODE_WIDTH: usize = 100;
const PROSE_WIDTH: usize = 160;
/// Every folder with Rust of this repository in it.
const FOLDERS: [&str; 6] = ["benches", "examples", "kernels", "src", "tests", "tools"];

#[test]
fn lines_of_code_have_at_most_100_columns_and_comments_160() {
    let files = FOLDERS.into_iter().flat_map(|folder| files(folder, "rs"));
    let wide = files.flat_map(|path| {
        let lines = wide_lines(&read(&path)).into_iter();
        lines.map(|line| format!("{}:{line}", path.display())).collect::<Vec<_>>()
    });
    let wide: Vec<_> = wide.collect();
    assert!(wide.is_empty(), "lines that are too wide:\n{}", wide.join("\n"));
}

/// The numbers of the lines of Rust code that are too wide. Comments are prose, and so are the lines
/// of a text, such as an example of `--help`, that are printed as they are.
fn wide_lines(text: &str) -> Vec<usize> {
    let mut wide = Vec::new();
    let mut number = 1;
    let mut rest = text;
    // The width of the current line so far, whether it is empty, and whether it is prose.
    let (mut width, mut empty, mut prose) = (0, true, false);
    while let Some(first) = rest.chars().next() {
        let comment = rest.starts_with("//");
        let len = literal_len(rest).max(first.len_utf8());
        // A lifetime's quote is no literal.
        let literal = literal_len(rest) > 0 && !comment;
        let token = &rest[..len];
        prose |= comment && empty;
        let mut continued = false;
        for c in token.chars() {
            if c == '\n' {
                wide.extend((width > limit(prose)).then_some(number));
                (number, width, empty) = (number + 1, 0, true);
                prose = literal && !continued;
                continued = false;
            } else {
                width += 1;
                empty &= c == ' ';
                continued = c == '\\' && !continued;
            }
        }
        rest = &rest[len..];
    }
    wide
}

fn limit(prose: bool) -> usize {
    if prose { PROSE_WIDTH } else { CODE_WIDTH }
}

/// `INFERD_WRAP_DOCS=1 cargo test --test tests architecture::widths` fills them.
#[test]
fn pages_are_filled_up_to_160_columns() {
    let write = std::env::var_os("INFERD_WRAP_DOCS").is_some();
    let mut wrong = Vec::new();
    for path in pages() {
        let text = read(&path);
        let filled = filled(&text);
        if write {
            std::fs::write(root().join(&path), filled).unwrap();
        } else if filled != text {
            let lines = text.lines().zip(filled.lines()).take_while(|(is, to_be)| is == to_be);
            wrong.push(format!("{}:{}", path.display(), lines.count() + 1));
        }
    }
    let how = "fill them with INFERD_WRAP_DOCS=1 cargo test --test tests architecture::widths";
    assert!(wrong.is_empty(), "pages that are not filled, {how}:\n{}", wrong.join("\n"));
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from));
    pages.retain(|page| root().join(page).is_file());
    pages
}

/// A page of Markdown with its paragraphs and items filled. Code, tables, headings and HTML stay as
/// they are.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut paragraph = Paragraph::default();
    let mut fenced = false;
    for line in text.lines() {
        let start = line.trim_start();
        let fence = start.starts_with("```");
        let verbatim = fenced || fence || is_verbatim(start);
        if verbatim || start.is_empty() {
            paragraph.end(&mut out);
            out += line;
            out.push('\n');
            fenced ^= fence;
            continue;
        }
        if let Some(marker) = marker(start) {
            paragraph.end(&mut out);
            paragraph.indent = line.len() - start.len() + marker.len();
            paragraph.text = line[..paragraph.indent].to_owned();
            paragraph.words = words(&start[marker.len()..]);
        } else {
            if paragraph.words.is_empty() {
                paragraph.indent = line.len() - start.len();
                paragraph.text = line[..paragraph.indent].to_owned();
            }
            paragraph.words.extend(words(start));
        }
    }
    paragraph.end(&mut out);
    out
}

fn is_verbatim(start: &str) -> bool {
    ["|", "#", "<", "!["].iter().any(|first| start.starts_with(first))
}

/// What begins an item of a list, with the space behind it.
fn marker(start: &str) -> Option<&str> {
    let digits = start.len() - start.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let len = if start.starts_with("- ") || start.starts_with("* ") {
        2
    } else if digits > 0 && start[digits..].starts_with(". ") {
        digits + 2
    } else {
        return None;
    };
    Some(&start[..len])
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The words, those of a code span as one.
fn unbroken(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut unbroken: Vec<String> = Vec::new();
    let mut inside = false;
    for word in words {
        let ends = word.matches('`').count() % 2 == 1;
        match unbroken.last_mut().filter(|_| inside) {
            Some(last) => *last += &format!(" {word}"),
            None => unbroken.push(word),
        }
        inside ^= ends;
    }
    unbroken
}

/// A paragraph or item that is being read.
#[derive(Default)]
struct Paragraph {
    /// The columns before its second line and the following ones.
    indent: usize,
    /// The beginning of its first line.
    text: String,
    words: Vec<String>,
}

impl Paragraph {
    fn end(&mut self, out: &mut String) {
        if self.words.is_empty() {
            return;
        }
        let mut line = std::mem::take(&mut self.text);
        let mut is_begun = false;
        for word in unbroken(self.words.drain(..)) {
            let fits = line.chars().count() + 1 + word.chars().count() <= PROSE_WIDTH;
            // At the beginning of a line it would be something else.
            let stays = marker(&format!("{word} ")).is_some() || is_verbatim(&word);
            if is_begun && !fits && !stays {
                *out += &line;
                out.push('\n');
                line = " ".repeat(self.indent);
                is_begun = false;
            }
            if is_begun {
                line.push(' ');
            }
            line += &word;
            is_begun = true;
        }
        *out += &line;
        out.push('\n');
    }
}

#[test]
fn wide_lines_are_found_in_code_and_not_in_prose() {
    let long = "x".repeat(110);
    let text = format!(
        "let a = {long};\n    // {long}\nlet b = \"\n{long}\n\";\nlet c = \"a \\\n   {long}\";\n"
    );
    assert_eq!(wide_lines(&text), [1, 7]);
    assert_eq!(wide_lines(&format!("// {long}{long}\n")), [1]);
}

#[test]
fn paragraphs_and_items_are_filled_and_the_rest_stays() {
    let word = "1234567890".repeat(5);
    let text = format!(
        "# A\n\n{word}\n{word}\n{word} {word}\n\n- {word}\n  {word} {word}\n  {word}\n1. one\n\n\
         ```sh\n{word} {word} {word} {word}\n```\n| {word} | {word} | {word} |\nthe\nend\n"
    );
    let wanted = format!(
        "# A\n\n{word} {word} {word}\n{word}\n\n- {word} {word} {word}\n  {word}\n1. one\n\n\
         ```sh\n{word} {word} {word} {word}\n```\n| {word} | {word} | {word} |\nthe end\n"
    );
    assert_eq!(filled(&text), wanted);
    assert_eq!(filled(&wanted), wanted);
}
