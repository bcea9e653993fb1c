//! The little of the ONNX format that is needed to find a constant by its name.
//!
//! ONNX is protobuf: fields of a number and a wire type. Field numbers are those of
//! `onnx.proto`.

/// The graph of a model.
const MODEL_GRAPH: u64 = 7;
/// A node of a graph.
const GRAPH_NODE: u64 = 1;
/// An attribute of a node.
const NODE_ATTRIBUTE: u64 = 5;
/// What an attribute may hold.
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_TENSOR: u64 = 5;
const ATTRIBUTE_GRAPH: u64 = 6;
/// What a tensor has.
const TENSOR_NAME: u64 = 8;
const TENSOR_RAW_DATA: u64 = 9;

/// The values of the constant `name` in the branch of the model that is taken at
/// 16 kHz: the `then` of its outermost `If`.
pub fn constant(model: &[u8], name: &str) -> Option<Vec<f32>> {
    let graph = field(model, MODEL_GRAPH).next()?;
    let branch = field(graph, GRAPH_NODE)
        .flat_map(|node| field(node, NODE_ATTRIBUTE))
        .filter(|attribute| text(attribute, ATTRIBUTE_NAME) == b"then_branch")
        .find_map(|attribute| field(attribute, ATTRIBUTE_GRAPH).next())?;
    let tensor = field(branch, GRAPH_NODE)
        .flat_map(|node| field(node, NODE_ATTRIBUTE))
        .flat_map(|attribute| field(attribute, ATTRIBUTE_TENSOR))
        .find(|tensor| text(tensor, TENSOR_NAME) == name.as_bytes())?;
    let bytes = field(tensor, TENSOR_RAW_DATA).next()?;
    Some(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn text(message: &[u8], number: u64) -> &[u8] {
    field(message, number).next().unwrap_or_default()
}

/// Every occurrence of a field that holds bytes.
fn field(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let (found, wire) = (key >> 3, key & 7);
            let length = match wire {
                0 => {
                    varint(&mut rest);
                    continue;
                }
                1 => 8,
                2 => varint(&mut rest) as usize,
                5 => 4,
                _ => panic!("wire type {wire} is not protobuf"),
            };
            let (value, behind) = rest.split_at(length);
            rest = behind;
            if found == number && wire == 2 {
                return Some(value);
            }
        }
        None
    })
}

fn varint(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = rest[0];
        *rest = &rest[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}
