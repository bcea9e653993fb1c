//! As much of JSON Schema (2020-12) as the documents in `docs/api` use. A keyword that is not
//! known here is a mistake in the document: what is not checked is not to look as if it were.

use std::path::Path;

use serde_json::Value;

/// A document with schemas in it.
pub struct Document(Value);

/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 8] =
    ["title", "description", "examples", "default", "format", "$schema", "$defs", "then"];

impl Document {
    /// Reads a file under `docs/api`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api").join(name);
        let text = std::fs::read_to_string(&path).expect("the document");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    /// What stands at a JSON pointer; fails when there is nothing.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"))
    }

    /// What `value` lacks to be as the schema at `pointer` says; nothing when it is.
    pub fn check(&self, pointer: &str, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.look(self.at(pointer), value, "", &mut faults);
        faults
    }

    fn look(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let Value::Object(keywords) = schema else { panic!("no schema: {schema}") };
        for (keyword, wanted) in keywords {
            self.look_at(keyword, wanted, schema, value, place, faults);
        }
    }

    fn look_at(
        &self,
        keyword: &str,
        wanted: &Value,
        schema: &Value,
        value: &Value,
        place: &str,
        faults: &mut Vec<String>,
    ) {
        let mut fault = |text: String| faults.push(format!("{place}: {text}, found {value}"));
        let list = || wanted.as_array().expect("a list");
        match keyword {
            "$ref" => {
                let pointer = wanted.as_str().and_then(|it| it.strip_prefix('#')).expect("a place");
                self.look(self.at(pointer), value, place, faults);
            }
            "type" => {
                let one = std::slice::from_ref(wanted);
                let types = wanted.as_array().map_or(one, Vec::as_slice);
                if !types.iter().any(|name| is_of_type(name.as_str().expect("a name"), value)) {
                    fault(format!("no {wanted}"));
                }
            }
            "const" if value != wanted => fault(format!("not {wanted}")),
            "enum" if !list().contains(value) => fault(format!("none of {wanted}")),
            "minimum" if value.is_number() && value.as_f64() < wanted.as_f64() => {
                fault(format!("below {wanted}"));
            }
            "maximum" if value.is_number() && value.as_f64() > wanted.as_f64() => {
                fault(format!("above {wanted}"));
            }
            "const" | "enum" | "minimum" | "maximum" => {}
            "required" if value.is_object() => {
                let name = |name: &Value| name.as_str().expect("a name").to_owned();
                let missing = list().iter().map(name).filter(|name| value.get(name).is_none());
                missing.for_each(|name| fault(format!("{name} is missing")));
            }
            "properties" => {
                for (name, schema) in wanted.as_object().expect("schemas") {
                    if let Some(value) = value.get(name) {
                        self.look(schema, value, &format!("{place}/{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(*wanted, Value::Bool(false), "anything else is not known here");
                let known = schema["properties"].as_object();
                let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
                let more = names.filter(|name| !known.is_some_and(|it| it.contains_key(*name)));
                more.for_each(|name| fault(format!("{name} is not documented")));
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.look(wanted, item, &format!("{place}/{at}"), faults);
                }
            }
            "allOf" => list().iter().for_each(|part| self.look(part, value, place, faults)),
            "oneOf" | "anyOf" => {
                let fits = list().iter().filter(|part| self.fits(part, value)).count();
                if fits == 0 || (keyword == "oneOf" && fits > 1) {
                    fault(format!("{fits} of the alternatives fit"));
                }
            }
            "if" => {
                if self.fits(wanted, value) {
                    self.look(&schema["then"], value, place, faults);
                }
            }
            "required" => {}
            known if ANNOTATIONS.contains(&known) => {}
            unknown => panic!("{unknown} is not known here"),
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.look(schema, value, "", &mut faults);
        faults.is_empty()
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        unknown => panic!("{unknown} is no type"),
    }
}
