//! `match`: patterns that choose every member, and bodies that see what they bind.

use constellation_types::Type;

use super::Generator;

/// A pattern, which members it chooses, and the variables of its body.
struct Case {
    text: String,
    chosen: Vec<usize>,
    bound: Vec<(String, Type)>,
}

impl Generator<'_, '_> {
    pub(super) fn match_expression(&mut self, ty: &Type, depth: u32) -> String {
        let visible = self.visible();
        let mut variables = visible.clone();
        let unions = |(_, ty): &(String, Type)| matches!(ty, Type::Union(_));
        if variables.iter().any(unions) && self.rng.u8(..4) > 0 {
            variables.retain(unions);
        }
        let (subject, scrutinee, text) = if variables.is_empty() || self.one_in(3) {
            let scrutinee = self.ty(2);
            let text = self.exact(&scrutinee, depth);
            // Parentheses do not make a variable anything else: a pattern narrows it.
            let subject = visible.iter().any(|(name, _)| *name == text).then(|| text.clone());
            (subject, scrutinee, format!("({text})"))
        } else {
            let (name, scrutinee) = self.pick(&variables).clone();
            (Some(name.clone()), scrutinee, name)
        };
        let members: Vec<Type> = match &scrutinee {
            Type::Union(union) => union.members().to_vec(),
            other => vec![other.clone()],
        };
        let mut open: Vec<usize> = (0..members.len()).collect();
        self.rng.shuffle(&mut open);
        let mut cases = Vec::new();
        while let Some(member) = open.first().copied() {
            let case = self.case(subject.as_deref(), &members, member);
            open.retain(|index| !case.chosen.contains(index));
            let n_locals = self.locals.len();
            self.locals.extend(case.bound);
            cases.push(format!("{} -> {}", case.text, self.exact(ty, depth)));
            self.locals.truncate(n_locals);
        }
        format!("match {text} {{ {} }}", cases.join(", "))
    }

    /// A case that chooses a member.
    fn case(&mut self, subject: Option<&str>, members: &[Type], member: usize) -> Case {
        if let Some(case) = self.fields(members, member)
            && self.rng.u8(..4) > 0
        {
            return case;
        }
        if let Some(case) = self.named(subject, members, member)
            && self.rng.u8(..4) > 0
        {
            return case;
        }
        Case { text: "_".to_owned(), chosen: (0..members.len()).collect(), bound: Vec::new() }
    }

    fn fields(&mut self, members: &[Type], member: usize) -> Option<Case> {
        let fields = members[member].as_record()?.fields();
        let mut names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        self.rng.shuffle(&mut names);
        names.truncate(self.rng.usize(1..=names.len()));
        let mut chosen = Vec::new();
        let mut bound: Option<Vec<(String, Type)>> = None;
        for (index, member) in members.iter().enumerate() {
            let Some(record) = member.as_record() else { continue };
            let types: Option<Vec<(String, Type)>> =
                names.iter().map(|name| Some(((*name).to_owned(), record.get(name)?.clone()))).collect();
            let Some(types) = types else { continue };
            // Where members differ in the type of a field, the name has the bound of both, which is not worked out
            // here.
            if *bound.get_or_insert_with(|| types.clone()) != types {
                return None;
            }
            chosen.push(index);
        }
        Some(Case { text: format!("{{ {} }}", names.join(", ")), chosen, bound: bound? })
    }

    fn named(&mut self, subject: Option<&str>, members: &[Type], member: usize) -> Option<Case> {
        let mut names: Vec<(String, Type)> =
            self.types.iter().filter(|(_, ty)| members[member].is_subtype_of(ty)).cloned().collect();
        if matches!(members[member], Type::String | Type::Int | Type::Float | Type::Boolean) {
            names.push((members[member].to_string(), members[member].clone()));
        }
        if names.is_empty() {
            return None;
        }
        let (name, ty) = self.pick(&names).clone();
        let chosen = (0..members.len()).filter(|index| members[*index].is_subtype_of(&ty)).collect();
        let bound = subject.map(|subject| (subject.to_owned(), ty));
        Some(Case { text: format!("is {name}"), chosen, bound: bound.into_iter().collect() })
    }
}
