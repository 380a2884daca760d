//! How many bytes outputs take when they are written.

use constellation_types::Value;

use crate::budget::Exhausted;

/// Bytes of JSON that the outputs of a run may still take.
#[derive(Debug)]
pub(crate) struct OutputBudget {
    left: u64,
}

impl OutputBudget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    /// Charges a value as compact JSON. What a value shares is counted as often as it would be written, and counting
    /// ends where the budget does. Recurses as deep as the value's type.
    pub(crate) fn charge_value(&mut self, value: &Value) -> Result<(), Exhausted> {
        match value {
            Value::Int(int) => self.charge(u64::from(int.unsigned_abs().checked_ilog10().unwrap_or(0)) + 2),
            // The longest is like -1.7976931348623157e+308.
            Value::Float(_) => self.charge(25),
            Value::Boolean(_) | Value::Optional(None) => self.charge(5),
            Value::String(text) => self.charge_text(text),
            Value::List(items) => {
                self.charge(2)?;
                items.iter().try_for_each(|item| self.charge_part(item))
            }
            Value::Map(pairs) => {
                self.charge(2)?;
                pairs.iter().try_for_each(|(key, value)| {
                    self.charge(2)?;
                    self.charge_part(key)?;
                    self.charge_part(value)
                })
            }
            Value::Record(record) => {
                self.charge(2)?;
                record.iter().try_for_each(|(name, value)| {
                    self.charge_text(name)?;
                    self.charge(1)?;
                    self.charge_part(value)
                })
            }
            Value::Optional(Some(inner)) => self.charge_value(inner),
            Value::Union(tagged) => {
                self.charge_text(&tagged.tag)?;
                self.charge(r#"{"tag":,"value":}"#.len() as u64)?;
                self.charge_value(&tagged.value)
            }
        }
    }

    /// A value and the comma behind it.
    fn charge_part(&mut self, value: &Value) -> Result<(), Exhausted> {
        self.charge(1)?;
        self.charge_value(value)
    }

    pub(crate) fn charge_text(&mut self, text: &str) -> Result<(), Exhausted> {
        let escapes = text.bytes().map(|byte| match byte {
            b'"' | b'\\' => 1,
            0..0x20 => 5,
            _ => 0_u64,
        });
        self.charge(2 + text.len() as u64 + escapes.sum::<u64>())
    }

    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(bytes).ok_or(Exhausted)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_charged_for_the_json_that_it_becomes() {
        let text = Value::string("a\"\u{1}\n\u{e9}");
        let value = Value::record([
            ("i", Value::list([Value::Int(-9), Value::Int(i64::MIN), Value::Int(0)])),
            ("o", Value::list([Value::none(), Value::some(Value::Boolean(false)), Value::Float(f64::MIN)])),
            ("u", Value::tagged("Int", Value::Int(4))),
            ("m", Value::Map([(text.clone(), text)].into())),
        ]);
        // Text: a \" \u0001 \n and two bytes, in quotes.
        let json = r#"{"i":[-9,-9223372036854775808,0],"o":[null,false,-1.7976931348623157e+308],"u":{"tag":"Int","value":4},"m":{"":""}}"#;
        let length = json.len() as u64 + 2 * (1 + 2 + 6 + 6 + 2);
        let charged = |limit| OutputBudget::new(limit).charge_value(&value);
        assert_eq!(charged(length + 16), Ok(()));
        assert_eq!(charged(length - 1), Err(Exhausted));
    }
}
