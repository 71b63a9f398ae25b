//! Command lines taken apart as a shell would, as far as documents need it.

/// What a shell puts between two commands.
const BETWEEN: [&str; 7] = ["|", "||", "&&", ";", "&", "(", ")"];

/// The commands of a line, as words; redirections and comments are left out.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut target = false;
    for (word, quoted) in split(line) {
        let plain = !quoted;
        if plain && BETWEEN.contains(&word.as_str()) {
            commands.push(Vec::new());
        } else if plain && word.starts_with('#') {
            break;
        } else if std::mem::take(&mut target) {
        } else if plain && word.trim_start_matches(['1', '2', '&']).starts_with(['>', '<']) {
            target = word.ends_with(['>', '<']);
        } else {
            commands.last_mut().unwrap().push(word);
        }
    }
    commands
}

/// The words of a line, and whether any part of each was quoted.
fn split(line: &str) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let (mut word, mut quoted, mut inside) = (String::new(), false, None);
    let mut end = |word: &mut String, quoted: &mut bool| {
        if !word.is_empty() || *quoted {
            words.push((std::mem::take(word), std::mem::take(quoted)));
        }
    };
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, inside) {
            (quote, Some(open)) if quote == open => inside = None,
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, Some(_)) => word.push(c),
            ('\'' | '"', None) => (inside, quoted) = (Some(c), true),
            (c, None) if c.is_whitespace() => end(&mut word, &mut quoted),
            (';' | '|' | '&' | '(' | ')', None) if !word.ends_with('>') => {
                end(&mut word, &mut quoted);
                word.push(c);
                if c != ';' && chars.peek() == Some(&c) {
                    word.extend(chars.next());
                }
                if chars.peek() != Some(&'>') {
                    end(&mut word, &mut quoted);
                }
            }
            (c, None) => word.push(c),
        }
    }
    end(&mut word, &mut quoted);
    words
}

/// The long options that a text names, commands left out: those are judged whole.
pub(super) fn options(text: &str) -> Vec<String> {
    let is_command = |part: &str| {
        let first = part.split_whitespace().next();
        // Other programs have options of their own.
        first.is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '3'))
            && part.split_whitespace().count() > 1
    };
    let lines = text.lines().filter(|line| !(line.starts_with("  ") && is_command(line)));
    let parts = lines.flat_map(|line| {
        let parts = line.split('`').enumerate();
        parts.filter(|(index, part)| index % 2 == 0 || !is_command(part)).map(|(_, part)| part)
    });
    parts.flat_map(in_part).collect()
}

fn in_part(part: &str) -> Vec<String> {
    let begins = part.match_indices("--").filter(|(at, _)| {
        let before = part[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '|')
    });
    let name = |(at, _): (usize, &str)| {
        let rest = &part[at + 2..];
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()));
        let name = &rest[..end.unwrap_or(rest.len())];
        name.starts_with(|c: char| c.is_ascii_lowercase()).then(|| format!("--{name}"))
    };
    begins.filter_map(name).collect()
}
