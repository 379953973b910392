//! Config files of any content: settings or an error of one line, never anything else, and never a secret in it.

#[path = "../../../native/mist/src/config/mod.rs"]
#[allow(dead_code, unused_imports)]
mod settings;

use self::settings::{Layer, Origin, Settings};

pub(crate) fn fuzz(bytes: &[u8]) {
    static PLACE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let Some((format, text)) = bytes.split_first() else {
        return;
    };
    let extension = ["yml", "json", "toml"][usize::from(*format) % 3];
    let path = PLACE
        .get_or_init(crate::folder)
        .path()
        .join(format!("mist.{extension}"));
    std::fs::write(&path, text).expect("it is written");
    let mut faults = Vec::new();
    let layer = Layer::from_file(&path, &mut faults);
    let shown = format!("{layer:?}");
    if let Some(token) = layer.token.as_ref().map(|token| token.reveal())
        && token.len() > 8
    {
        assert!(!shown.contains(token), "the token is shown: {shown}");
    }
    let settings = Settings::decide(&[(Origin::File(path), layer)], &mut faults);
    settings.check(&mut faults);
    for fault in faults {
        is_one_line(&fault.to_string());
    }
    if let Err(error) = settings.limits() {
        is_one_line(&error);
    }
}

fn is_one_line(error: &str) {
    assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
}
