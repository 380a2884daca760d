//! Parsing of the `with` clause of a call.

use super::{Parsed, Parser};
use crate::suggest::nearest;
use crate::syntax::{CallOption, Duration, List, Name, OptionValue};
use crate::token::TokenKind;

/// The names of all options.
const OPTIONS: [&str; 17] = [
    "retry",
    "timeout",
    "delay",
    "backoff",
    "fallback",
    "cache",
    "cache_backend",
    "throttle",
    "concurrency",
    "on_error",
    "lazy",
    "priority",
    "batch",
    "batch_timeout",
    "window",
    "checkpoint",
    "join",
];

/// Whether a call option has this name.
pub(crate) fn is_option_name(name: &str) -> bool {
    OPTIONS.contains(&name)
}

impl<'a> Parser<'_, 'a> {
    /// The options after `with`; `height` is raised to that of a fallback. None when one was wrong and the rest was read
    /// all the same.
    pub(super) fn call_options(&mut self, height: &mut u16) -> Parsed<Option<List<CallOption<'a>>>> {
        let mut is_complete = true;
        let options = self.list(|parser| {
            loop {
                if let Ok(option) = parser.option(height) {
                    parser.pend(option);
                } else {
                    is_complete = false;
                    parser.skip_item()?;
                }
                // A comma that no option follows belongs to the list around the call.
                if parser.kind() != TokenKind::Comma || !parser.is_option(1) {
                    return Ok(());
                }
                parser.advance();
            }
        })?;
        Ok(is_complete.then_some(options))
    }

    fn is_option(&self, ahead: usize) -> bool {
        match self.kind_at(ahead) {
            TokenKind::Lazy => true,
            TokenKind::Identifier => {
                let name = self.source.text(self.tokens[self.at() + ahead]);
                self.kind_at(ahead + 1) == TokenKind::Colon && is_option_name(name)
            }
            _ => false,
        }
    }

    fn option(&mut self, height: &mut u16) -> Parsed<CallOption<'a>> {
        let name = match self.kind() {
            TokenKind::Lazy => self.take_name(),
            TokenKind::Identifier if is_option_name(self.text()) => self.take_name(),
            _ => {
                let text = self.text();
                let mut hints: Vec<String> =
                    nearest(text, OPTIONS).map(|name| format!("Did you mean '{name}'?")).collect();
                if hints.is_empty() {
                    hints.push(format!("The options are {}", OPTIONS.join(", ")));
                }
                return Err(self.error("a call option", Some(hints.swap_remove(0))));
            }
        };
        if name.text == "lazy" && self.kind() != TokenKind::Colon {
            return Ok(CallOption { name, value: OptionValue::Flag(true), span: name.span });
        }
        self.expect(TokenKind::Colon, "':'")?;
        let start = self.token().span.start;
        let value = self.option_value(name, height)?;
        Ok(CallOption { name, value, span: self.span_from(start) })
    }

    fn option_value(&mut self, name: Name<'a>, height: &mut u16) -> Parsed<OptionValue<'a>> {
        match name.text {
            "retry" | "concurrency" | "batch" => self.count().map(OptionValue::Count),
            "timeout" | "delay" | "cache" | "batch_timeout" | "checkpoint" => {
                self.duration().map(OptionValue::Duration)
            }
            "throttle" => {
                let count = self.count()?;
                self.expect(TokenKind::Slash, "'/' and a duration, as in 10/1s")?;
                Ok(OptionValue::Rate(count, self.duration()?))
            }
            "backoff" => self.word(&["exponential", "linear", "fixed"]).map(OptionValue::Word),
            "on_error" => self.word(&["propagate", "skip", "log", "wrap", "fail"]).map(OptionValue::Word),
            "fallback" => self.nested(|parser| parser.part(height)).map(OptionValue::Expression),
            "cache_backend" => {
                let text = self.text();
                if !self.eat(TokenKind::String) {
                    return Err(self.error("the name of a cache, a plain string", None));
                }
                Ok(OptionValue::Text(&text[1..text.len() - 1]))
            }
            "lazy" => {
                let is_true = self.kind() == TokenKind::True;
                if !is_true && self.kind() != TokenKind::False {
                    return Err(self.error("'true' or 'false'", None));
                }
                self.advance();
                Ok(OptionValue::Flag(is_true))
            }
            "priority" => self.priority().map(OptionValue::Priority),
            "window" => {
                let word = self.word(&["tumbling", "sliding", "count"])?;
                let open = self.at();
                self.expect(TokenKind::LeftParenthesis, "'('")?;
                let value = match word {
                    "count" => OptionValue::CountWindow(self.count()?),
                    "tumbling" => {
                        let size = self.duration()?;
                        self.durations(word, &[size])
                    }
                    _ => {
                        let size = self.duration()?;
                        self.expect(TokenKind::Comma, "','")?;
                        let slide = self.duration()?;
                        self.durations(word, &[size, slide])
                    }
                };
                self.close(open, TokenKind::RightParenthesis)?;
                Ok(value)
            }
            _ => {
                let word = self.word(&["combine_latest", "buffer", "zip"])?;
                if word != "buffer" {
                    return Ok(OptionValue::Word(word));
                }
                let open = self.at();
                self.expect(TokenKind::LeftParenthesis, "'('")?;
                let timeout = self.duration()?;
                self.close(open, TokenKind::RightParenthesis)?;
                Ok(self.durations(word, &[timeout]))
            }
        }
    }

    fn durations(&mut self, word: &'a str, durations: &[Duration<'a>]) -> OptionValue<'a> {
        OptionValue::Durations(word, self.tree.lists.add(durations.iter().copied()))
    }

    /// A number that an image can hold: a whole one below 2^53.
    fn count(&mut self) -> Parsed<u64> {
        let text = self.text();
        let is_plain = text == "0" || !text.starts_with('0');
        match text.parse::<u64>() {
            Ok(count) if self.kind() == TokenKind::Integer && is_plain && count < 1 << 53 => {
                self.advance();
                Ok(count)
            }
            _ => Err(self.error("a whole number from 0 to 2^53, without leading zeros", None)),
        }
    }

    fn duration(&mut self) -> Parsed<Duration<'a>> {
        let expected = "a duration such as 500ms, 30s, 5min, 1h or 1d";
        if self.kind() != TokenKind::Integer {
            return Err(self.error(expected, None));
        }
        let count = self.count()?;
        let unit = self.text();
        if self.kind() != TokenKind::Identifier || !["ms", "s", "min", "h", "d"].contains(&unit) {
            let hint = (unit == "m").then(|| "Minutes are written 'min'".to_owned());
            return Err(self.error(expected, hint));
        }
        let duration = Duration { count, unit };
        if duration.milliseconds().is_none_or(|milliseconds| milliseconds >= 1 << 53) {
            return Err(self.error("a duration of less than 2^53 milliseconds", None));
        }
        self.advance();
        Ok(duration)
    }

    fn priority(&mut self) -> Parsed<u8> {
        let is_negative = self.kind() == TokenKind::Minus;
        if self.kind_at(usize::from(is_negative)) == TokenKind::Integer {
            if is_negative {
                self.advance();
            }
            let count = self.count()?;
            let clamped = if is_negative { 0 } else { count.min(100) };
            return Ok(u8::try_from(clamped).expect("at most 100"));
        }
        let names = [("critical", 100), ("high", 80), ("normal", 50), ("low", 20), ("background", 0)];
        let word = self.word(&names.map(|(name, _)| name))?;
        Ok(names.iter().find(|(name, _)| *name == word).map_or(50, |(_, priority)| *priority))
    }

    fn word(&mut self, words: &[&str]) -> Parsed<&'a str> {
        let text = self.text();
        if self.kind() == TokenKind::Identifier && words.contains(&text) {
            self.advance();
            return Ok(text);
        }
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        Err(self.error(&format!("one of {}", quoted.join(", ")), None))
    }
}
