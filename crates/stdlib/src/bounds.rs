//! Bounds on what one call may make from small arguments.

use std::fmt::{self, Write};

use constellation_module::ModuleError;

/// How many bytes of UTF-8 a text may have that a function makes by joining or repeating others.
pub const MAX_TEXT_BYTES: usize = 64 << 20;

/// How many elements a list may have that a function makes from numbers, texts or several lists, and how many pairs
/// a map.
pub const MAX_LIST_ITEMS: usize = 4 << 20;

/// Checks the length of a text before it is made. `bytes` is none when it is past counting.
pub(crate) fn check_text(bytes: Option<usize>, function: &str) -> Result<usize, ModuleError> {
    match bytes {
        Some(bytes) if bytes <= MAX_TEXT_BYTES => Ok(bytes),
        _ => Err(text_too_long(function)),
    }
}

/// The error of a function whose text would be too long.
pub(crate) fn text_too_long(function: &str) -> ModuleError {
    ModuleError::new(format!("{function}: the text would be longer than {MAX_TEXT_BYTES} bytes"))
}

/// Checks the length of a list before it is made. `items` is none when it is past counting.
pub(crate) fn check_list(items: Option<usize>, function: &str) -> Result<usize, ModuleError> {
    match items {
        Some(items) if items <= MAX_LIST_ITEMS => Ok(items),
        _ => Err(ModuleError::new(format!(
            "{function}: the list would be longer than {MAX_LIST_ITEMS} elements"
        ))),
    }
}

/// Checks the size of a map.
pub(crate) fn check_map(pairs: usize, function: &str) -> Result<(), ModuleError> {
    if pairs > MAX_LIST_ITEMS {
        let message = format!("{function}: the map would be larger than {MAX_LIST_ITEMS} pairs");
        return Err(ModuleError::new(message));
    }
    Ok(())
}

/// A text that refuses to grow past [`MAX_TEXT_BYTES`].
#[derive(Default)]
pub(crate) struct BoundedText(pub(crate) String);

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_TEXT_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
