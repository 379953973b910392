//! Owns how tags are given on the command line.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::exit::Stop;
use super::{complete, out};

#[derive(Debug, Args)]
pub(crate) struct TagsArgs {
    /// Tags, each a word of its own
    #[arg(value_name = "TAG", add = ArgValueCompleter::new(complete::tag))]
    pub(crate) words: Vec<String>,
    /// More tags, a comma list and/or repeated; blanks belong to the tag
    #[arg(short, long, value_name = "TAGS", add = ArgValueCompleter::new(complete::tag_list))]
    pub(crate) tags: Vec<String>,
    /// One more tag, taken as it is, commas included; repeatable
    #[arg(long, value_name = "TAG", add = ArgValueCompleter::new(complete::tag))]
    pub(crate) tag: Vec<String>,
}

impl TagsArgs {
    /// All tags, in the order given: words, lists, single ones.
    pub(crate) fn all(&self) -> Result<Vec<String>, Stop> {
        self.with_words(&self.words)
    }

    /// All tags where only these words are tags.
    pub(crate) fn with_words(&self, words: &[String]) -> Result<Vec<String>, Stop> {
        if words.iter().any(String::is_empty) {
            // As where a variable is not set: without it the tags would be others than were meant.
            return Err(Stop::usage(
                "one of the words is empty: leave it out, or write --tag '' for a tag without letters",
            ));
        }
        if let [word] = words
            && !self.has_flags()
            && word.contains([',', ' '])
        {
            let words = word.split([',', ' ']).filter(|part| !part.is_empty());
            let words: Vec<_> = words.collect();
            out::note(&format!(
                "'{word}' is one tag; several tags are several words: {}",
                words.join(" ")
            ));
        }
        for list in &self.tags {
            // A tag may have blanks at its ends, but hardly ever does.
            if list.split(',').any(|tag| tag.trim() != tag) {
                out::note(&format!(
                    "in --tags '{list}' the blanks are a part of the tags; for tags without them write: --tags '{}'",
                    list.split(',').map(str::trim).collect::<Vec<_>>().join(",")
                ));
            }
        }
        let lists = self.tags.iter().flat_map(|list| split_tags(list));
        let words = words.iter().cloned();
        Ok(words.chain(lists).chain(self.tag.iter().cloned()).collect())
    }

    /// Whether tags are given by flags.
    pub(crate) fn has_flags(&self) -> bool {
        !self.tags.is_empty() || !self.tag.is_empty()
    }
}

/// Splits a comma list of tags. Empty items are slips, not the empty tag.
pub(crate) fn split_tags(list: &str) -> Vec<String> {
    let items = list.split(',').filter(|tag| !tag.is_empty());
    items.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_order_and_blanks_and_lose_empty_items() {
        let mut tags = TagsArgs {
            words: vec!["w,".to_owned()],
            tags: vec!["b,a,".to_owned(), " c".to_owned()],
            tag: vec!["x,y".to_owned()],
        };
        let all = tags.all().expect("tags");
        assert_eq!(all, ["w,", "b", "a", " c", "x,y"]);
        tags.words.push(String::new());
        assert!(tags.all().is_err(), "a word that is empty is a slip");
    }
}
