//! Owns how a query is read: strictly, since a tag that was dropped or replaced would change a subscription. It must
//! not know what its parameters are for.

/// The parameters of a query, decoded, in their order.
pub(super) struct Query<'a>(Vec<Parameter<'a>>);

struct Parameter<'a> {
    name: String,
    value: String,
    /// The value as it was sent, and where it starts in the query.
    raw: &'a str,
    start: usize,
}

impl<'a> Query<'a> {
    /// Reads a query as forms write it.
    ///
    /// # Errors
    /// A sentence that names the position. It shows nothing of the query, which may contain a token.
    pub(super) fn parse(query: &'a str) -> Result<Self, String> {
        let mut parameters = Vec::new();
        let mut start = 0;
        for pair in query.split('&') {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let value_start = start + name.len() + 1;
            if !pair.is_empty() {
                parameters.push(Parameter {
                    name: decode(name, start)?,
                    value: decode(raw, value_start)?,
                    raw,
                    start: value_start,
                });
            }
            start += pair.len() + 1;
        }
        Ok(Self(parameters))
    }

    /// The tag sets: each `tags` is one, its tags separated by commas.
    ///
    /// # Errors
    /// A sentence that names the position of an empty tag: usually a shell variable was not set. The empty tag cannot
    /// be used here.
    pub(super) fn tag_sets(&self) -> Result<Vec<Vec<&str>>, String> {
        let lists = self.0.iter().filter(|parameter| parameter.name == "tags");
        lists.map(Parameter::tags).collect()
    }

    /// Whether a publish is to be answered for the whole cluster.
    ///
    /// # Errors
    /// A sentence that says what may be waited for.
    pub(super) fn waits_for_cluster(&self) -> Result<bool, String> {
        let mut parameters = self.0.iter();
        match parameters.find(|given| given.name == "wait") {
            Some(given) if given.value != "cluster" => Err(format!(
                "wait is '{}' at byte {} of the query - it must be cluster, or be left out",
                given.value.escape_debug(),
                given.start
            )),
            given => Ok(given.is_some()),
        }
    }

    /// The token.
    ///
    /// # Errors
    /// A sentence that names the position of an empty one.
    pub(super) fn token(&self) -> Result<Option<&str>, String> {
        let mut parameters = self.0.iter();
        let token = parameters.find(|given| given.name.eq_ignore_ascii_case("x-auth-token"));
        match token {
            Some(given) if given.value.is_empty() => Err(format!(
                "no token behind 'x-auth-token=' at byte {} of the query - leave it out, or is a variable not set?",
                given.start
            )),
            given => Ok(given.map(|given| &*given.value)),
        }
    }
}

impl Parameter<'_> {
    fn tags(&self) -> Result<Vec<&str>, String> {
        let mut decoded = 0;
        let tags = self.value.split(',').map(|tag| {
            let place = decoded;
            decoded += tag.len() + 1;
            match tag {
                "" => Err(format!(
                    "missing tag at byte {} of the query - commas stand between tags only; is a variable not set?",
                    self.start + place_of(self.raw, place)
                )),
                tag => Ok(tag),
            }
        });
        tags.collect()
    }
}

/// Decodes a name or value that starts at `start` of the query.
fn decode(raw: &str, start: usize) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(raw.len());
    for (place, byte) in units(raw) {
        bytes.push(byte.ok_or_else(|| {
            format!(
                "'%' without two hexadecimal digits at byte {} of the query - write %25 for the sign itself",
                start + place
            )
        })?);
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = place_of(raw, error.utf8_error().valid_up_to());
        format!(
            "what is escaped at byte {} of the query is not UTF-8",
            start + place
        )
    })
}

/// The position of the character or escape of a decoded byte.
fn place_of(raw: &str, decoded: usize) -> usize {
    units(raw)
        .nth(decoded)
        .map_or(raw.len(), |(place, _)| place)
}

/// Each decoded byte and its position; `None` for an invalid escape.
fn units(raw: &str) -> impl Iterator<Item = (usize, Option<u8>)> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = at;
        let byte = *bytes.get(place)?;
        at += 1;
        let byte = match byte {
            b'+' => Some(b' '),
            b'%' => {
                at += 2;
                let digits = raw.get(place + 1..place + 3);
                let digits = digits.filter(|two| two.bytes().all(|it| it.is_ascii_hexdigit()));
                digits.and_then(|two| u8::from_str_radix(two, 16).ok())
            }
            plain => Some(plain),
        };
        Some((place, byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_as_forms_write_them() {
        let query =
            Query::parse("&a=1&tags=b+c,%C3%BC%2Cd&&%74ags=%25+ü&tags&x==&X-Auth-Token=t%26");
        let query = query.expect("it can be read");
        let pairs: Vec<_> = query.0.iter().map(|it| (&*it.name, &*it.value)).collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("tags", "b c,ü,d"),
                ("tags", "% ü"),
                ("tags", ""),
                ("x", "="),
                ("X-Auth-Token", "t&"),
            ]
        );
        assert_eq!(query.token(), Ok(Some("t&")));
        let query = Query::parse("tags=a,b&tags=c&tag=d").expect("it can be read");
        assert_eq!(query.tag_sets(), Ok(vec![vec!["a", "b"], vec!["c"]]));
        assert_eq!(query.token(), Ok(None));
        assert_eq!(Query::parse("").expect("nothing").tag_sets(), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_meant_is_named_by_its_place() {
        for (query, place, what) in [
            ("tags=p,%zz", 7, "'%' without two hexadecimal digits"),
            ("tags=p,%", 7, "'%' without"),
            ("tags=p,%2", 7, "'%' without"),
            ("tags=%+1", 5, "'%' without"),
            ("tags=%€", 5, "'%' without"),
            ("a=b&%zz=c", 4, "'%' without"),
            ("x-auth-token=abc%1", 16, "'%' without"),
            ("tags=p,%ff", 7, "is not UTF-8"),
            ("tags=%41%C3,b", 8, "is not UTF-8"),
            ("x=1&x-auth-token=%c3%28", 17, "is not UTF-8"),
        ] {
            let error = Query::parse(query).err().expect(query);
            let place = format!("at byte {place} of the query");
            assert!(error.contains(&place) && error.contains(what), "{error}");
        }
        for (query, place) in [
            ("tags=", 5),
            ("tags", 5),
            ("tags=p,", 7),
            ("tags=,p", 5),
            ("tags=%41,%2C,b", 9),
            ("tags=a&tags=b,,c", 14),
        ] {
            let parsed = Query::parse(query).expect(query);
            let error = parsed.tag_sets().expect_err(query);
            let wanted = format!("missing tag at byte {place} of the query");
            assert!(error.starts_with(&wanted), "{query}: {error}");
        }
        let query = Query::parse("a=b&x-auth-token=").expect("it can be read");
        assert!(
            query
                .token()
                .is_err_and(|error| error.contains("at byte 17 "))
        );
    }
}
