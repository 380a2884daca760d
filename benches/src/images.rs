//! Generated programs: the same number gives the same program on every machine and in every run.

use std::collections::BTreeSet;
use std::sync::Arc;

use constellation_store_core::{
    Argument, ArithmeticOperator, CallOptions, DagSpec, FieldSpec, FieldValue, ImageMetadata, InputSpec,
    Literal, NodeIndex, NodeKind, NodeSpec, Origin, OutputSpec, PipelineImage, PipelineName, Publication,
    RegistryHash, Requirement, SignatureHash, SourceHash, SyntacticHash, SyntacticKey, Timestamp, TypeIndex,
    TypeSpec,
};

/// A program as a compiler hands it to a store.
#[derive(Debug, Clone)]
pub struct Program {
    /// The image; about 4 KB as pretty JSON.
    pub image: Arc<PipelineImage>,
    /// The text that it stands for.
    pub source: Arc<str>,
    /// The key of its index entry.
    pub key: SyntacticKey,
    /// The name it is published under; no two numbers share one.
    pub name: PipelineName,
}

impl Program {
    /// The program of a number. No two numbers share an image, a source or a key.
    pub fn of(number: u64) -> Self {
        let mut random = Random(number);
        let dag_spec = graph(number, &mut random);
        let source: Arc<str> = source(number, &mut random).into();
        let compiled_at =
            Timestamp::from_milliseconds(1_700_000_000_000 + i64::from(random.below(1_000_000)))
                .expect("a time of this century");
        let mut metadata = ImageMetadata::new(&dag_spec, compiled_at);
        let syntactic = SyntacticHash::of_bytes(format!("program {number}").as_bytes());
        metadata.source_hash = Some(SourceHash::of_bytes(source.as_bytes()));
        metadata.syntactic_hash = Some(syntactic);
        metadata.compiler = Some("0.1.0".into());
        Self {
            image: Arc::new(PipelineImage::new(dag_spec, metadata)),
            source,
            key: SyntacticKey { syntactic, registry: RegistryHash::of_bytes(b"registry") },
            name: name(number),
        }
    }

    /// What is published: image, source, index entry, version and name.
    pub fn publication(&self) -> Publication {
        Publication::new(Arc::clone(&self.image), Origin::Compile)
            .with_source(Arc::clone(&self.source))
            .with_key(self.key)
            .with_name(self.name.clone())
    }
}

/// The name of the program of a number.
pub fn name(number: u64) -> PipelineName {
    format!("team-{:02}/pipeline-{number:06}", number % 50).parse().expect("ASCII between single slashes")
}

/// `SplitMix64`: small, and the same on every machine for ever, which libraries do not promise.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, evenly enough for bounds far below 2^32.
    pub fn below(&mut self, bound: u32) -> u32 {
        let high = u32::try_from(self.next_bits() >> 32).expect("32 bits are left");
        high % bound
    }
}

const MODULES: [&str; 4] = ["customer.Lookup", "ledger.Balance", "risk.Score", "text.Normalise"];

/// A record goes through a chain of calls whose results are added up: calls, options, literals and arithmetic.
fn graph(number: u64, random: &mut Random) -> DagSpec {
    let field = |name: &str, ty| FieldSpec { name: name.into(), ty: TypeIndex(ty) };
    let types = vec![
        TypeSpec::String,
        TypeSpec::Int,
        TypeSpec::Float,
        TypeSpec::Record(vec![field("customer", 0), field("amount", 1), field("region", 0)]),
        TypeSpec::Record(vec![field("number", 1), field("total", 2), field("order", 3)]),
    ];
    let mut graph = Nodes(Vec::new());
    let order = graph.add(Some("order"), 3, NodeKind::Input { name: "order".into() });
    let threshold = graph.add(Some("threshold"), 2, NodeKind::Input { name: "threshold".into() });
    let serial = i64::try_from(number).expect("numbers of programs are small");
    let serial = graph.add(None, 1, NodeKind::Literal(Literal::Int(serial)));
    let mut total = threshold;
    let mut used = BTreeSet::new();
    for step in 0..=random.below(3) {
        let module = MODULES[random.below(4) as usize];
        used.insert(module);
        let text = format!("segment-{:08x}-{}", random.below(u32::MAX), module.to_lowercase());
        let text = graph.add(None, 0, NodeKind::Literal(Literal::String(text)));
        let weight = f64::from(random.below(10_000)) / 128.0;
        let weight = graph.add(Some(&format!("weight_{step}")), 2, NodeKind::Literal(Literal::Float(weight)));
        let argument = |name: &str, node| Argument { name: name.into(), node };
        let options = CallOptions {
            retry: Some(u64::from(random.below(5))),
            timeout_ms: Some(u64::from(100 + random.below(900))),
            ..CallOptions::default()
        };
        let call = NodeKind::Call {
            module: module.into(),
            major: 1,
            arguments: vec![argument("order", order), argument("segment", text), argument("weight", weight)],
            options: Box::new(options),
        };
        let call = graph.add(Some(&format!("score_{step}")), 2, call);
        let sum = NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left: total, right: call };
        total = graph.add(Some(&format!("total_{step}")), 2, sum);
    }
    let value = |name: &str, node| FieldValue { name: name.into(), node };
    let fields = vec![value("number", serial), value("total", total), value("order", order)];
    let result = graph.add(Some("result"), 4, NodeKind::Record { fields });
    let requires = used.into_iter().map(|module| Requirement {
        name: module.into(),
        major: 1,
        signature: SignatureHash::of_bytes(module.as_bytes()),
    });
    let input =
        |name: &str, ty| InputSpec { name: name.into(), ty: TypeIndex(ty), default: None, examples: vec![] };
    DagSpec {
        inputs: vec![input("order", 3), input("threshold", 2)],
        outputs: vec![OutputSpec { name: "result".into(), node: result }],
        types,
        nodes: graph.0,
        requires: requires.collect(),
    }
}

struct Nodes(Vec<NodeSpec>);

impl Nodes {
    fn add(&mut self, label: Option<&str>, ty: u32, operation: NodeKind) -> NodeIndex {
        let index = NodeIndex(u32::try_from(self.0.len()).expect("a few dozen nodes"));
        self.0.push(NodeSpec { label: label.map(Into::into), ty: TypeIndex(ty), operation });
        index
    }
}

/// As long as a source of such a graph is; a store keeps it without reading it.
fn source(number: u64, random: &mut Random) -> String {
    let mut lines =
        vec![format!("# Program {number}"), "in order: Order".into(), "in threshold: Float".into()];
    for step in 0..5 {
        let weight = random.below(10_000);
        lines.push(format!(
            "score_{step} = Score(order, \"segment\", {weight}.5) with retry: 3, timeout: 250ms"
        ));
    }
    lines.push("out result\n".into());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_the_same_valid_image_each_time() {
        for number in 0..100 {
            let program = Program::of(number);
            program.image.verify().unwrap();
            assert_eq!(program.image.encode(), Program::of(number).image.encode());
        }
    }

    #[test]
    fn images_are_about_four_kilobytes() {
        let total: usize = (0..200).map(|number| Program::of(number).image.encode().len()).sum();
        let mean = total / 200;
        assert!((3_500..5_000).contains(&mean), "{mean}");
    }

    #[test]
    fn numbers_share_nothing() {
        let (one, other) = (Program::of(1), Program::of(2));
        assert_ne!(one.image.structural_hash, other.image.structural_hash);
        assert_ne!(one.source, other.source);
        assert_ne!(one.key, other.key);
        assert_ne!(one.name, other.name);
    }
}
