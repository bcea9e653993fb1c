//! Just enough of `multipart/form-data` to see what a client sent. Copies
//! nothing, decodes nothing; what is no part is skipped.

/// One field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) body: &'a [u8],
}

/// Parts looked at; more than any client of the contract sends.
const PARTS_MAX: usize = 32;

/// The boundary that a `Content-Type` of multipart/form-data names.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let mut fields = content_type.split(';').map(str::trim);
    if !fields.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = fields.find_map(|field| field.strip_prefix("boundary="))?.trim_matches('"');
    (!value.is_empty()).then_some(value)
}

/// The parts of `body`, the first [`PARTS_MAX`] of them.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line break of its own before it.
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..]);
    let mut parts = Vec::new();
    while let Some(from) = rest {
        let Some(end) = find(from, delimiter.as_bytes()) else { break };
        parts.extend(from.strip_prefix(b"\r\n").and_then(|_| part(&from[..end])));
        if parts.len() == PARTS_MAX {
            break;
        }
        rest = from.get(end + delimiter.len()..);
    }
    parts
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let head_end = find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let disposition =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let name = disposition
        .split(';')
        .find_map(|field| field.trim().strip_prefix("name="))?
        .trim_matches('"');
    Some(Part { name, body: &bytes[head_end + 4..] })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_found_with_their_bytes() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n\
            --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"u.wav\"\r\n\
            Content-Type: audio/wav\r\n\r\nRIFF\r\n\r\n\0\r\n--xyz--\r\n";
        assert_eq!(
            parts(body, "xyz"),
            [
                Part { name: "model", body: b"whisper" },
                Part { name: "file", body: b"RIFF\r\n\r\n\0" },
            ]
        );
    }

    #[test]
    fn what_is_no_form_has_no_parts() {
        assert_eq!(parts(b"", "xyz"), []);
        assert_eq!(parts(b"--xyz", "xyz"), []);
        assert_eq!(parts(b"--xyz\r\nno head\r\n--xyz--", "xyz"), []);
        assert_eq!(boundary("application/json"), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
    }
}
