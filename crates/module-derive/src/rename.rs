//! The renaming rules of serde, for names of fields.

use syn::{Error, LitStr, Result};

/// A value of `serde(rename_all)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    None,
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

const RULES: [(&str, Rule); 8] = [
    ("lowercase", Rule::Lower),
    ("UPPERCASE", Rule::Upper),
    ("PascalCase", Rule::Pascal),
    ("camelCase", Rule::Camel),
    ("snake_case", Rule::Snake),
    ("SCREAMING_SNAKE_CASE", Rule::ScreamingSnake),
    ("kebab-case", Rule::Kebab),
    ("SCREAMING-KEBAB-CASE", Rule::ScreamingKebab),
];

impl Rule {
    pub(crate) fn parse(literal: &LitStr) -> Result<Self> {
        let text = literal.value();
        RULES.iter().find(|(name, _)| *name == text).map(|(_, rule)| *rule).ok_or_else(|| {
            let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
            Error::new(literal.span(), format!("unknown rule, expected one of: {}", names.join(", ")))
        })
    }

    /// The name of a field, whose name in Rust is in snake case.
    pub(crate) fn apply_to_field(self, field: &str) -> String {
        match self {
            Self::None | Self::Lower | Self::Snake => field.to_owned(),
            Self::Upper | Self::ScreamingSnake => field.to_ascii_uppercase(),
            Self::Pascal => pascal(field),
            Self::Camel => {
                let mut name = pascal(field);
                if let Some(first) = name.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                name
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(field: &str) -> String {
    let mut name = String::new();
    let mut capitalize = true;
    for character in field.chars() {
        if character == '_' {
            capitalize = true;
        } else if capitalize {
            name.push(character.to_ascii_uppercase());
            capitalize = false;
        } else {
            name.push(character);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_renamed_as_serde_renames_them() {
        for (rule, expected) in [
            (Rule::None, "unit_price"),
            (Rule::Lower, "unit_price"),
            (Rule::Upper, "UNIT_PRICE"),
            (Rule::Pascal, "UnitPrice"),
            (Rule::Camel, "unitPrice"),
            (Rule::Snake, "unit_price"),
            (Rule::ScreamingSnake, "UNIT_PRICE"),
            (Rule::Kebab, "unit-price"),
            (Rule::ScreamingKebab, "UNIT-PRICE"),
        ] {
            assert_eq!(rule.apply_to_field("unit_price"), expected, "{rule:?}");
        }
    }
}
