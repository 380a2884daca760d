//! Why a call failed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a module failed. Its `Display` is the message of the module's own error, and its source that error's
/// source. Cloning is cheap.
///
/// Anything that converts to a boxed error converts to it with [`ModuleError::from_error`]. (It is an error itself,
/// so `From` cannot be implemented for all errors.)
///
/// ```
/// # use constellation_module::ModuleError;
/// let error = ModuleError::from_error("12x".parse::<i64>().unwrap_err());
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
#[derive(Clone)]
pub struct ModuleError(Arc<dyn Error + Send + Sync>);

impl ModuleError {
    /// An error with a message and nothing behind it.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Arc::new(Message { message: message.into(), source: None }))
    }

    /// An error with a message about another error, which becomes its source.
    pub fn with_source(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::new(Message { message: message.into(), source: Some(source.into()) }))
    }

    /// Another error as the error of a module. A [`ModuleError`] stays as it is.
    pub fn from_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self(error.into()),
        }
    }

    /// The module's own error, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModuleError").field(&self.0).finish()
    }
}

impl Error for ModuleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Message {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_have_a_source() {
        let error = ModuleError::with_source("the price list is unreadable", "line 3: no price");
        assert_eq!(error.to_string(), "the price list is unreadable");
        assert_eq!(error.source().unwrap().to_string(), "line 3: no price");
        assert!(ModuleError::new("out of stock").source().is_none());
    }

    #[test]
    fn a_module_error_is_not_wrapped_again() {
        let error = ModuleError::from_error(ModuleError::from_error(std::fmt::Error));
        assert!(error.downcast_ref::<std::fmt::Error>().is_some());
    }
}
