//! The options of a call: what they mean, whether their values are in range, and what has no effect.

use constellation_store_core::{Backoff, CallOptions, Join, NodeIndex, OnError, Throttle, Window};

use super::Checker;
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::{CallOption, Duration, ExpressionId, OptionValue};
use crate::types::Ty;

/// From how many retries on there is a warning.
const MANY_RETRIES: u64 = 10;

impl<'a> Checker<'_, '_, 'a> {
    /// The options, and the type of the call where they change it. `result` is the type that the function
    /// returns, unless the call is wrong already; `is_given_function` says whether it takes one.
    pub(super) fn options(
        &mut self,
        options: &[CallOption<'a>],
        result: Option<Ty>,
        is_given_function: bool,
        span: Span,
    ) -> Option<(CallOptions, Option<Ty>)> {
        let mut out = CallOptions::default();
        let mut is_valid = true;
        for option in options {
            is_valid &= self.option(option, result, &mut out);
        }
        self.warn(options, &out, is_given_function, span);
        if !is_valid {
            return None;
        }
        let ty = match (out.on_error, result) {
            (Some(OnError::Wrap), Some(result)) => Some(self.wrapped(result, span)?),
            _ => None,
        };
        Some((out, ty))
    }

    /// What `on_error: wrap` makes of a result.
    fn wrapped(&mut self, result: Ty, span: Span) -> Option<Ty> {
        let value = self.types.optional(result);
        let value = self.bounded(span, value)?;
        let error = self.types.optional(Ty::STRING);
        let error = self.bounded(span, error)?;
        let record = self.types.record(&[("ok", Ty::BOOLEAN), ("value", value), ("error", error)]);
        self.bounded(span, record)
    }

    fn option(&mut self, option: &CallOption<'a>, result: Option<Ty>, out: &mut CallOptions) -> bool {
        let name = option.name.text;
        match &option.value {
            OptionValue::Expression(fallback) => match self.fallback(*fallback, result) {
                Some(node) => out.fallback = Some(node),
                None => return false,
            },
            OptionValue::Count(count) => {
                if name == "retry" {
                    out.retry = Some(*count);
                    return true;
                }
                if *count == 0 {
                    return self.invalid(option, "0", "must be > 0");
                }
                match name {
                    "concurrency" => out.concurrency = Some(*count),
                    _ => out.batch = Some(*count),
                }
            }
            OptionValue::Duration(duration) => {
                let Some(milliseconds) = self.positive(option, *duration) else { return false };
                let place = match name {
                    "timeout" => &mut out.timeout_ms,
                    "delay" => &mut out.delay_ms,
                    "cache" => &mut out.cache_ms,
                    "batch_timeout" => &mut out.batch_timeout_ms,
                    _ => &mut out.checkpoint_ms,
                };
                *place = Some(milliseconds);
            }
            OptionValue::Rate(count, duration) => {
                if *count == 0 {
                    let unit = unit_name(duration.unit);
                    return self.invalid(option, &format!("0/{}{unit}", duration.count), "count must be > 0");
                }
                let Some(per_ms) = self.positive(option, *duration) else { return false };
                out.throttle = Some(Throttle { count: *count, per_ms });
            }
            OptionValue::Word(word) => match (name, *word) {
                ("backoff", "exponential") => out.backoff = Some(Backoff::Exponential),
                ("backoff", "linear") => out.backoff = Some(Backoff::Linear),
                ("backoff", _) => out.backoff = Some(Backoff::Fixed),
                ("on_error", "skip") => out.on_error = Some(OnError::Skip),
                ("on_error", "log") => out.on_error = Some(OnError::Log),
                ("on_error", "wrap") => out.on_error = Some(OnError::Wrap),
                // `fail` is the older word for `propagate`.
                ("on_error", _) => out.on_error = Some(OnError::Propagate),
                (_, "combine_latest") => out.join = Some(Join::CombineLatest),
                _ => out.join = Some(Join::Zip),
            },
            OptionValue::Flag(flag) => out.lazy = Some(*flag),
            OptionValue::Text(text) => out.cache_backend = Some((*text).to_owned()),
            OptionValue::Priority(priority) => out.priority = Some(*priority),
            OptionValue::CountWindow(size) => {
                if *size == 0 {
                    return self.invalid(option, "count(0)", "must be > 0");
                }
                out.window = Some(Window::Count { size: *size });
            }
            OptionValue::Durations(word, durations) => {
                let mut lengths = Vec::with_capacity(durations.len());
                for duration in self.tree.list(*durations) {
                    let Some(milliseconds) = self.positive(option, *duration) else { return false };
                    lengths.push(milliseconds);
                }
                match (*word, lengths.as_slice()) {
                    ("tumbling", [size]) => out.window = Some(Window::Tumbling { size_ms: *size }),
                    ("sliding", [size, slide]) => {
                        out.window = Some(Window::Sliding { size_ms: *size, slide_ms: *slide });
                    }
                    (_, [timeout, ..]) => out.join = Some(Join::Buffer { timeout_ms: *timeout }),
                    _ => return false,
                }
            }
        }
        true
    }

    fn fallback(&mut self, id: ExpressionId, result: Option<Ty>) -> Option<NodeIndex> {
        let value = self.infer(id, result)?;
        let result = result?;
        if !self.types.is_subtype(value.ty, result) {
            let (expected, found) = (self.types.text(result), self.types.text(value.ty));
            let message =
                format!("Fallback type mismatch: module returns {expected} but fallback is {found}");
            let diagnostic = Diagnostic::error(Code::FallbackTypeMismatch, self.expression(id).span, message);
            let hint = self.conversion(result, value.ty).map(str::to_owned);
            self.sink.push(diagnostic.expected_found(expected, found).suggest(hint));
            return None;
        }
        Some(self.coerce(value, result).node)
    }

    /// The length in milliseconds, unless it is zero, which is reported.
    fn positive(&mut self, option: &CallOption<'a>, duration: Duration<'a>) -> Option<u64> {
        let milliseconds = duration.milliseconds().expect("the parser refuses a length that does not fit");
        if milliseconds == 0 {
            self.invalid(option, &format!("0{}", duration.unit), "must be > 0");
            return None;
        }
        Some(milliseconds)
    }

    fn invalid(&mut self, option: &CallOption<'a>, value: &str, constraint: &str) -> bool {
        let message = format!("Invalid value for '{}': {value} ({constraint})", option.name.text);
        let hint = format!("Write a value above 0, or leave '{}' out", option.name.text);
        let diagnostic = Diagnostic::error(Code::InvalidOptionValue, option.span, message)
            .expected_found(constraint.replace("must be ", ""), value)
            .suggest([hint]);
        self.sink.push(diagnostic);
        false
    }

    fn warn(&mut self, options: &[CallOption<'a>], out: &CallOptions, is_given_function: bool, span: Span) {
        let place = |name: &str| {
            let option = options.iter().rfind(|option| option.name.text == name);
            option.map(|option| option.name.span)
        };
        let dependencies = [
            ("delay", "retry"),
            ("backoff", "delay"),
            ("backoff", "retry"),
            ("cache_backend", "cache"),
            ("batch_timeout", "batch"),
        ];
        for (option, needed) in dependencies {
            if let (Some(place), None) = (place(option), place(needed)) {
                let message = format!("'{option}' without '{needed}' has no effect");
                let hint = format!("Add '{needed}', or remove '{option}'");
                self.sink.push(Diagnostic::warning(Code::OptionDependency, place, message).suggest([hint]));
            }
        }
        if let Some(retry) = out.retry.filter(|retry| *retry > MANY_RETRIES) {
            let message =
                format!("High retry count ({retry}) - consider using a lower value with exponential backoff");
            let span = place("retry").unwrap_or(span);
            let hint = format!("Write at most {MANY_RETRIES}, with 'delay' and 'backoff: exponential'");
            self.sink.push(Diagnostic::warning(Code::HighRetry, span, message).suggest([hint]));
        }
        if let (Some(place), Some(_)) = (place("batch"), place("window")) {
            let message = "'window' and 'batch' are mutually exclusive; 'batch' will be ignored";
            let hint = "Remove one of the two".to_owned();
            self.sink.push(Diagnostic::warning(Code::ConflictingOptions, place, message).suggest([hint]));
        }
        for name in NOT_APPLIED {
            if let Some(place) = place(name) {
                let message = format!("'{name}' is kept in the image, but nothing applies it yet");
                self.sink.push(Diagnostic::warning(Code::OptionNotApplied, place, message));
            }
        }
        for name in NOT_FOR_FUNCTIONS {
            if let (Some(place), true) = (place(name), is_given_function) {
                let message = format!("'{name}' has no effect on a call that is given a lambda");
                let hint = format!("Write '{name}' at a call in the lambda, or remove it");
                self.sink.push(Diagnostic::warning(Code::OptionNotApplied, place, message).suggest([hint]));
            }
        }
    }
}

/// Options that no runtime of this version applies. Who writes one must not believe that it holds.
const NOT_APPLIED: [&str; 5] = ["batch", "batch_timeout", "window", "checkpoint", "join"];

/// Options that do not apply to a call that is given a function: functions equal nothing, so that no two calls are
/// equal, and a call that waits for others of its module could wait for those in its own body.
const NOT_FOR_FUNCTIONS: [&str; 2] = ["cache", "concurrency"];

/// The name of a unit as the messages of the reference implementation have it.
fn unit_name(unit: &str) -> &'static str {
    match unit {
        "ms" => "Milliseconds",
        "s" => "Seconds",
        "min" => "Minutes",
        "h" => "Hours",
        _ => "Days",
    }
}
