//! Owns `--format`: which parts of a message are printed, and what stands between them.

/// What is printed for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { field: Field, is_json: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Time,
    Tags,
    Data,
}

const KNOWN: &str =
    "write {time}, {tags} or {data}, or {time:json}, {tags:json} or {data:json} for JSON";

impl Format {
    /// Reads `{FIELD}` and `{FIELD:json}` among text, in which `\n`, `\t`, `\\`, `{{` and `}}` stand for single characters.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let doubled = rest.as_str().starts_with(c);
            match c {
                '\\' => plain.push(match rest.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('\\') => '\\',
                    other => {
                        let other = other.map(String::from).unwrap_or_default();
                        return Err(format!(r"'\{other}' is none of \n, \t and \\"));
                    }
                }),
                '{' | '}' if doubled => {
                    rest.next();
                    plain.push(c);
                }
                '}' => return Err("write }} for a brace that closes no field".to_owned()),
                '{' => {
                    let Some((name, behind)) = rest.as_str().split_once('}') else {
                        return Err("a field is not closed; write {{ for a brace".to_owned());
                    };
                    rest = behind.chars();
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(field(name)?);
                }
                c => plain.push(c),
            }
        }
        plain.push('\n');
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text for one message, with a line end behind.
    pub(crate) fn text(&self, tags: &[String], data: &str, now: impl Fn() -> String) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text += plain,
                Part::Field { field, is_json } => match (field, is_json) {
                    (Field::Data, false) => text += data,
                    (Field::Data, true) => text += &json(data),
                    (Field::Tags, false) => text += &tags.join(","),
                    (Field::Tags, true) => text += &json(tags),
                    (Field::Time, false) => text += &now(),
                    (Field::Time, true) => text += &json(&now()),
                },
            }
        }
        text
    }
}

fn field(text: &str) -> Result<Part, String> {
    let (name, is_json) = match text.strip_suffix(":json") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let field = match name {
        "time" => Field::Time,
        "tags" => Field::Tags,
        "data" => Field::Data,
        _ => return Err(format!("'{{{text}}}' is not known: {KNOWN}")),
    };
    Ok(Part::Field { field, is_json })
}

/// Texts cannot fail to be JSON.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &str) -> String {
        let tags = ["a".to_owned(), "b c".to_owned()];
        let format = Format::parse(format).expect(format);
        format.text(&tags, "x\"y\n", || "TIME".to_owned())
    }

    #[test]
    fn fields_stand_among_text() {
        assert_eq!(printed("{time} {tags} {data}"), "TIME a,b c x\"y\n\n");
        assert_eq!(
            printed(r#"{{"d":{data:json},"t":{tags:json},"at":{time:json}}}"#),
            "{\"d\":\"x\\\"y\\n\",\"t\":[\"a\",\"b c\"],\"at\":\"TIME\"}\n"
        );
        assert_eq!(printed(r"é\t\n\\ {{}}"), "é\t\n\\ {}\n");
        assert_eq!(printed(""), "\n");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (format, word) in [
            ("{tag}", "'{tag}' is not known: write {time}, {tags}"),
            ("{data:hex}", "'{data:hex}'"),
            ("{}", "'{}'"),
            ("{data", "not closed"),
            ("data}", "}}"),
            (r"\q", r"'\q'"),
            (r"x\", r"'\'"),
        ] {
            let error = Format::parse(format).expect_err(format);
            assert!(error.contains(word), "{format}: {error}");
        }
    }
}
